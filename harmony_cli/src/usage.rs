//! A command line that asks for something that does not exist.

use harmony_core::Diagnostic;
use harmony_core::codes;
use harmony_core::diagnostic::{FailureKind, Origin};

/// A topology that the binary does not have: the last arm of its `match` on [`RunArgs::topology`](crate::RunArgs).
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
#[error("there is no topology `{asked}`")]
pub struct UnknownTopology {
    asked: String,
    known: Vec<String>,
}

impl UnknownTopology {
    /// `asked` is none of `known`.
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
        vec![format!("pick one of: {}", self.known.join(", "))]
    }
}

/// A `--filter` that means nothing here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// It is not a pattern.
    #[error("`{pattern}` is not a pattern for names")]
    Pattern {
        pattern: String,
        #[source]
        source: globset::Error,
    },
    /// It matches nothing.
    #[error("no Score has a name like `{pattern}`")]
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
                vec!["`*` stands for any text, `?` for one character, `{a,b}` for a choice".into()]
            }
            Self::NoMatch { names, .. } => vec![format!("the Scores are: {}", names.join(", "))],
        }
    }
}

/// A code that no error has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no error code `{asked}`")]
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
        vec!["codes look like H0301; an error shows its own in brackets".into()]
    }
}
