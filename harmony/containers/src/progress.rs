//! The plain progress of BuildKit's clients. Pure.

use crate::child::{KEPT_LINES, keep};

/// The line around the summary of a failure.
const RULE: &str = "------";

/// The output of a client.
#[derive(Debug, Default)]
pub(crate) struct Output {
    last: Vec<String>,
}

impl Output {
    /// Adds a line, and returns it as progress unless it says nothing.
    pub(crate) fn add(&mut self, line: String) -> Option<String> {
        if is_log(&line) {
            return None;
        }
        let shown = shown(&line).map(str::to_owned);
        keep(&mut self.last, line);
        shown
    }

    /// The cause of a failure: BuildKit's summary if there is one, otherwise the last lines.
    pub(crate) fn evidence(&self) -> Vec<String> {
        let lines = &self.last;
        let begin = lines.iter().position(|line| line == RULE).unwrap_or(0);
        let evidence = lines[begin..].iter().filter(|line| !is_rule(line));
        evidence.take(KEPT_LINES).cloned().collect()
    }

    /// All kept lines as one text, to look for known causes.
    pub(crate) fn text(&self) -> String {
        self.last.join("\n")
    }
}

/// `#12 0.345 Compiling app` -> `Compiling app`; `None` for a line that only reports that a step has ended.
fn shown(line: &str) -> Option<&str> {
    let Some((number, rest)) = line.strip_prefix('#').and_then(|rest| rest.split_once(' ')) else {
        return Some(line);
    };
    if !number.chars().all(|c| c.is_ascii_digit()) {
        return Some(line);
    }
    if rest.starts_with("DONE") || rest.starts_with("CACHED") || rest == "..." {
        return None;
    }
    let text = match rest.split_once(' ') {
        Some((seconds, text)) if seconds.parse::<f64>().is_ok() => text.trim_start(),
        _ => rest,
    };
    (!text.is_empty()).then_some(text)
}

/// The client's own log, about itself.
fn is_log(line: &str) -> bool {
    line.starts_with("time=") && line.contains(" level=")
}

fn is_rule(line: &str) -> bool {
    line.len() >= RULE.len() && line.bytes().all(|byte| byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_neither_numbers_nor_times() {
        for (line, expected) in [
            ("#5 [2/3] RUN cargo build", Some("[2/3] RUN cargo build")),
            ("#5 0.345    Compiling app", Some("Compiling app")),
            ("#5 DONE 0.4s", None),
            ("#5 CACHED", None),
            ("#5 ...", None),
            (
                "#5 transferring context: 2B done",
                Some("transferring context: 2B done"),
            ),
            ("#include <a.h>", Some("#include <a.h>")),
            ("error: failed to solve", Some("error: failed to solve")),
        ] {
            assert_eq!(shown(line), expected, "{line}");
        }
    }

    #[test]
    fn the_evidence_of_a_failure_is_the_summary() {
        let mut output = Output::default();
        for line in [
            "#5 [2/2] RUN false",
            "#5 ERROR: exit code: 1",
            "------",
            " > [2/2] RUN false:",
            "0.123 no such thing",
            "------",
            "error: failed to solve: exit code: 1",
        ] {
            output.add(line.into());
        }
        assert_eq!(
            output.evidence(),
            [
                " > [2/2] RUN false:",
                "0.123 no such thing",
                "error: failed to solve: exit code: 1"
            ]
        );
        let mut short = Output::default();
        short.add("time=\"2026-01-01T00:00:00Z\" level=warning msg=\"no fsverity\"".into());
        short.add("error: no daemon".into());
        assert_eq!(short.evidence(), ["error: no daemon"]);
    }
}
