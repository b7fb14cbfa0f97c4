//! The results of examining a topology.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::codes;
use crate::diagnostic::{Diagnostic, Origin, Report};

/// How long a check may take.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was examined: `registry registry.example.com/team`.
    pub part: String,
    /// What was checked: `login`.
    pub check: String,
    /// The result.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "lowercase")]
pub enum Standing {
    /// It works.
    Ok {
        /// What was seen, such as a version.
        detail: String,
    },
    /// It does not work.
    Failed {
        /// The error that an operation would fail with.
        error: Report,
    },
    /// It could not be found out, or does not matter.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl Finding {
    /// It works.
    pub fn ok(
        part: impl Into<String>,
        check: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        Self::new(part, check, Standing::Ok { detail })
    }

    /// It does not work.
    pub fn failed(
        part: impl Into<String>,
        check: impl Into<String>,
        error: &dyn Diagnostic,
    ) -> Self {
        let error = Report::of(error);
        Self::new(part, check, Standing::Failed { error })
    }

    /// It was not checked.
    pub fn skipped(
        part: impl Into<String>,
        check: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let reason = reason.into();
        Self::new(part, check, Standing::Skipped { reason })
    }

    fn new(part: impl Into<String>, check: impl Into<String>, standing: Standing) -> Self {
        Self {
            part: part.into(),
            check: check.into(),
            standing,
        }
    }

    /// The same finding about a part with another name.
    #[must_use]
    pub fn about(self, part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            ..self
        }
    }

    /// Something that fails, but is not needed by every run.
    #[must_use]
    pub fn optional(self, purpose: &str) -> Self {
        match self.standing {
            Standing::Failed { error } => Self {
                standing: Standing::Skipped {
                    reason: format!("{}; {purpose}", error.message),
                },
                ..self
            },
            _ => self,
        }
    }

    /// Whether it does not work.
    pub fn is_failed(&self) -> bool {
        matches!(self.standing, Standing::Failed { .. })
    }
}

/// Runs one check, which returns what it has seen. A check that takes longer than [`DEADLINE`] has failed.
pub async fn check<E: Diagnostic>(
    part: &str,
    check: &str,
    work: impl Future<Output = Result<String, E>>,
) -> Finding {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(detail)) => Finding::ok(part, check, detail),
        Ok(Err(error)) => Finding::failed(part, check, &error),
        Err(_) => Finding::failed(part, check, &NoAnswer { part: part.into() }),
    }
}

/// A check took too long.
#[derive(Debug, thiserror::Error)]
#[error("{part} did not answer within {} s", DEADLINE.as_secs())]
pub struct NoAnswer {
    part: String,
}

impl NoAnswer {
    /// `part` did not answer within the deadline.
    pub fn of(part: impl Into<String>) -> Self {
        Self { part: part.into() }
    }
}

impl Diagnostic for NoAnswer {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::CHECK_TIMEOUT)
    }

    fn hints(&self) -> Vec<String> {
        vec!["check the network, firewalls and proxies between this machine and it".into()]
    }
}

/// `ok`, `failed` or `skipped`
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok { .. } => "ok",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancelled::Cancelled;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_does_not_end_has_failed() {
        let never = std::future::pending::<Result<String, Cancelled>>();
        let finding = check("registry r.example.com", "answers", never).await;
        let Standing::Failed { error } = &finding.standing else {
            panic!("failed, not {finding:?}");
        };
        assert_eq!(error.code, codes::CHECK_TIMEOUT);
        assert!(!finding.optional("only for pushes").is_failed());
    }
}
