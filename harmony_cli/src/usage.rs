//! Errors for command lines that are not valid.

use harmony_core::Diagnostic;
use harmony_core::codes;
use harmony_core::diagnostic::{FailureKind, Origin};

/// A topology that the program does not have, for the last arm of its `match` on [`RunArgs::topology`](crate::RunArgs).
///
/// ```
/// # use harmony_cli::{RunArgs, UnknownTopology};
/// # fn pick(args: &RunArgs) -> Result<&'static str, UnknownTopology> {
/// match args.topology() {
///     None | Some("local") => Ok("the laptop"),
///     Some("ci") => Ok("the CI runner"),
///     Some(other) => Err(UnknownTopology::new(other, &["local", "ci"])),
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown topology `{asked}`")]
pub struct UnknownTopology {
    asked: String,
    known: Vec<String>,
}

impl UnknownTopology {
    /// `asked` is not one of `known`.
    pub fn new(asked: &str, known: &[&str]) -> Self {
        Self {
            asked: asked.to_owned(),
            known: known.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Diagnostic for UnknownTopology {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::UNKNOWN_TOPOLOGY)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec![format!("use one of: {}", self.known.join(", "))]
    }
}

/// A `--filter` that is not valid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// It is not a valid pattern.
    #[error("`{pattern}` is not a valid pattern")]
    Pattern {
        pattern: String,
        #[source]
        source: globset::Error,
    },
    /// It matches nothing.
    #[error("no Score matches `{pattern}`")]
    NoMatch { pattern: String, names: Vec<String> },
}

impl Diagnostic for FilterError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_SCORE_MATCHES)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Pattern { .. } => {
                vec![
                    "`*` matches any text, `?` one character, and `{a,b}` either alternative"
                        .into(),
                ]
            }
            Self::NoMatch { names, .. } => vec![format!("available Scores: {}", names.join(", "))],
        }
    }
}

/// An unknown error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code `{asked}`")]
pub(crate) struct UnknownCode {
    asked: String,
}

impl UnknownCode {
    pub(crate) fn new(asked: &str) -> Self {
        Self {
            asked: asked.to_owned(),
        }
    }
}

impl Diagnostic for UnknownCode {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::USAGE)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec!["error codes look like H0301; an error message shows its code in brackets".into()]
    }
}
