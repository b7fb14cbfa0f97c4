//! Alert rules: the usual ones as types, others as PromQL.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration;

/// A condition that raises an alert, for each target of a [`MonitoringScore`](super::MonitoringScore).
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    /// The name of the alert, for example `TargetDown`.
    pub name: String,
    /// When it is raised.
    pub condition: Condition,
    /// How long the condition must hold first.
    pub lasting: Duration,
    /// How urgent it is.
    pub severity: Severity,
    /// One line for the receiver; can contain Prometheus templates such as `{{ $labels.instance }}`.
    pub summary: String,
}

/// How urgent an alert is: the label `severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information.
    Info,
    /// Somebody should look at it soon.
    Warning,
    /// Users are affected now.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// When an alert is raised.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// A pod of the target does not answer, or there is none.
    TargetDown,
    /// The program of a pod was restarted more often than this. Needs the metric `process_start_time_seconds`.
    Restarts {
        /// The number of restarts that is still accepted.
        more_than: u32,
        /// The time in which they are counted.
        within: Duration,
    },
    /// A share of the requests fails.
    ErrorRate {
        /// A counter of requests, such as `http_requests_total`.
        requests: MetricName,
        /// The label with the result, such as `status`.
        label: MetricName,
        /// A regular expression for failures, such as `5..`.
        failing: String,
        /// The share that is still accepted, between 0 and 1.
        above: f64,
        /// The time over which the share is computed.
        within: Duration,
    },
    /// Requests are slow.
    Latency {
        /// A histogram in seconds, such as `http_request_duration_seconds`.
        histogram: MetricName,
        /// The share of requests that must be fast enough, for example 0.99.
        quantile: f64,
        /// The time that is still accepted.
        above: Duration,
        /// The time over which it is computed.
        within: Duration,
    },
    /// A program uses much memory. Needs the metric `process_resident_memory_bytes`.
    Memory {
        /// The number of bytes that is still accepted.
        above: u64,
    },
    /// The expression returns something. It is evaluated once, not for each target.
    Raw(PromQl),
}

impl AlertRule {
    /// A rule with this condition, which must hold for a minute.
    pub fn new(
        name: impl Into<String>,
        condition: Condition,
        severity: Severity,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            condition,
            lasting: Duration::from_secs(60),
            severity,
            summary: summary.into(),
        }
    }

    /// A pod does not answer, or there is none.
    pub fn target_down() -> Self {
        let summary = "{{ $labels.job }} is down";
        Self::new(
            "TargetDown",
            Condition::TargetDown,
            Severity::Critical,
            summary,
        )
    }

    /// The program was restarted more than `more_than` times within 15 minutes.
    pub fn restarts(more_than: u32) -> Self {
        let condition = Condition::Restarts {
            more_than,
            within: Duration::from_secs(15 * 60),
        };
        let summary = "{{ $labels.instance }} of {{ $labels.job }} keeps restarting";
        Self {
            lasting: Duration::ZERO,
            ..Self::new("Restarts", condition, Severity::Warning, summary)
        }
    }

    /// More than this share of `http_requests_total` within 5 minutes has a `status` of 500 or above.
    pub fn error_rate(above: f64) -> Self {
        let condition = Condition::ErrorRate {
            requests: MetricName("http_requests_total".into()),
            label: MetricName("status".into()),
            failing: "5..".into(),
            above,
            within: Duration::from_secs(5 * 60),
        };
        let summary = "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail";
        Self::new("ErrorRate", condition, Severity::Critical, summary)
    }

    /// 1 % of `http_request_duration_seconds` within 5 minutes is slower than this.
    pub fn latency(above: Duration) -> Self {
        let condition = Condition::Latency {
            histogram: MetricName("http_request_duration_seconds".into()),
            quantile: 0.99,
            above,
            within: Duration::from_secs(5 * 60),
        };
        let summary =
            "requests to {{ $labels.job }} take {{ $value | humanizeDuration }} (99th percentile)";
        Self::new("Latency", condition, Severity::Warning, summary)
    }

    /// A program uses more than this number of bytes.
    pub fn memory(above: u64) -> Self {
        let summary = "{{ $labels.instance }} of {{ $labels.job }} uses {{ $value | humanize1024 }}B of memory";
        Self::new(
            "Memory",
            Condition::Memory { above },
            Severity::Warning,
            summary,
        )
    }

    /// An expression in PromQL.
    pub fn raw(name: impl Into<String>, expression: PromQl, summary: impl Into<String>) -> Self {
        let condition = Condition::Raw(expression);
        Self::new(name, condition, Severity::Warning, summary)
    }

    /// Sets the severity.
    #[must_use]
    pub fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// Sets how long the condition must hold.
    #[must_use]
    pub fn lasting(self, lasting: Duration) -> Self {
        Self { lasting, ..self }
    }
}

impl Condition {
    /// The expression for the target with this job label.
    pub(super) fn expression(&self, job: &str) -> String {
        let job = quote(job);
        match self {
            Self::TargetDown => format!("up{{job={job}}} == 0 or absent(up{{job={job}}}) == 1"),
            Self::Restarts { more_than, within } => format!(
                "changes(process_start_time_seconds{{job={job}}}[{}]) > {more_than}",
                duration(*within)
            ),
            Self::ErrorRate {
                requests,
                label,
                failing,
                above,
                within,
            } => {
                let (failing, within) = (quote(failing), duration(*within));
                format!(
                    "sum by (job) (rate({requests}{{job={job},{label}=~{failing}}}[{within}])) / \
                     sum by (job) (rate({requests}{{job={job}}}[{within}])) > {above}"
                )
            }
            Self::Latency {
                histogram,
                quantile,
                above,
                within,
            } => format!(
                "histogram_quantile({quantile}, sum by (job, le) (rate({histogram}_bucket{{job={job}}}[{}]))) > {}",
                duration(*within),
                above.as_secs_f64()
            ),
            Self::Memory { above } => {
                format!("process_resident_memory_bytes{{job={job}}} > {above}")
            }
            Self::Raw(expression) => expression.to_string(),
        }
    }
}

/// A string literal of PromQL.
fn quote(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}

/// The name of a metric or a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricName(String);

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MetricName {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        if text.is_empty()
            || text.starts_with(|c: char| c.is_ascii_digit())
            || !text.chars().all(legal)
        {
            return Err(QueryError::Name(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An expression in PromQL. Parsing finds only gross mistakes; a deploy checks it with `promtool` if it is installed,
/// and Prometheus itself has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromQl(String);

impl fmt::Display for PromQl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PromQl {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Err(QueryError::Empty);
        }
        match unbalanced(text) {
            Some(bracket) => Err(QueryError::Unbalanced {
                expression: text.to_owned(),
                bracket,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// The first bracket or quotation mark without a partner, outside of strings.
fn unbalanced(text: &str) -> Option<char> {
    let mut open = Vec::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let partner = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(partner) {
                    return Some(c);
                }
            }
            '"' | '\'' | '`' => loop {
                match characters.next() {
                    None => return Some(c),
                    Some('\\') if c != '`' => drop(characters.next()),
                    Some(end) if end == c => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    open.pop()
}

/// The reason why a text is not a name of a metric or an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Not a name.
    #[error("`{0}` is not the name of a metric or label: use letters, digits and `_`")]
    Name(String),
    /// Nothing.
    #[error("a PromQL expression is empty")]
    Empty,
    /// A bracket without a partner.
    #[error("in the PromQL expression `{expression}`, `{bracket}` has no partner")]
    Unbalanced {
        /// The expression.
        expression: String,
        /// The bracket or quotation mark.
        bracket: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_select_the_target() {
        let expression = |rule: AlertRule| rule.condition.expression("shop");
        assert_eq!(
            expression(AlertRule::target_down()),
            r#"up{job="shop"} == 0 or absent(up{job="shop"}) == 1"#
        );
        assert_eq!(
            expression(AlertRule::restarts(3)),
            r#"changes(process_start_time_seconds{job="shop"}[900s]) > 3"#
        );
        assert_eq!(
            expression(AlertRule::error_rate(0.05)),
            r#"sum by (job) (rate(http_requests_total{job="shop",status=~"5.."}[300s])) / sum by (job) (rate(http_requests_total{job="shop"}[300s])) > 0.05"#
        );
        assert_eq!(
            expression(AlertRule::latency(Duration::from_millis(250))),
            r#"histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket{job="shop"}[300s]))) > 0.25"#
        );
    }

    #[test]
    fn gross_mistakes_are_found_at_once() {
        let parse = |text: &str| text.parse::<PromQl>();
        assert!(parse(r#"sum(rate(x{a="}"}[5m])) > 1"#).is_ok());
        assert!(parse("label_replace(x, 'a', '\\'', 'b', '(')").is_ok());
        assert_eq!(parse("  "), Err(QueryError::Empty));
        for (text, bracket) in [
            ("sum(x", '('),
            ("x)", ')'),
            ("x[5m", '['),
            ("x{a=\"b}", '"'),
            ("(x]", ']'),
        ] {
            let expected = QueryError::Unbalanced {
                expression: text.into(),
                bracket,
            };
            assert_eq!(parse(text), Err(expected));
        }
        assert!("http_requests_total".parse::<MetricName>().is_ok());
        assert!("5xx".parse::<MetricName>().is_err());
        assert!("a b".parse::<MetricName>().is_err());
    }
}
