//! What can be wrong with a chart.

use std::fmt;

use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};

/// A file of a chart, and a line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path within the chart.
    pub file: String,
    /// Counted from 1; `None` when the whole file is meant.
    pub line: Option<usize>,
}

impl Place {
    /// The whole file.
    pub fn file(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
        }
    }

    /// A line of it, counted from 1.
    pub fn line(file: impl Into<String>, line: usize) -> Self {
        Self {
            file: file.into(),
            line: Some(line),
        }
    }
}

/// `templates/10-deployment-web.yaml:12`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// A chart that gives no objects. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The archive is not one of a chart.
    #[error("the archive {problem}")]
    Archive {
        /// What is wrong with it.
        problem: String,
    },
    /// It uses more of Helm's language than the chart format has. Whether it is right, only `helm` knows.
    #[error("{place}: {what} is beyond what Harmony renders itself")]
    Beyond {
        /// Where.
        place: Place,
        /// What: a hole, a file, an annotation.
        what: String,
    },
    /// A file of the chart is wrong, whoever renders it.
    #[error("{place}: {problem}")]
    File {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// A value of the target does not fit the chart.
    #[error("the value `{path}` {problem}")]
    Value {
        /// Its dotted path.
        path: String,
        /// What is wrong.
        problem: String,
        /// The way out.
        help: String,
    },
    /// Each rendering of the chart is another one.
    #[error(
        "the chart makes up `{field}` of {object} at each rendering, so that each deploy would change it"
    )]
    Unstable {
        /// Which object.
        object: String,
        /// Which field.
        field: String,
    },
    /// `helm` is needed and not there.
    #[error("helm is not installed")]
    NoHelm,
    /// `helm` could not be run, or refused the chart.
    #[error("`{command}` {problem}")]
    Helm {
        /// What was run.
        command: String,
        /// How it ended.
        problem: String,
        /// The last lines that it wrote.
        output: Vec<String>,
    },
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl RenderError {
    /// The likeliest way out, in one sentence.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Archive { .. } => {
                "package the chart again, with Harmony or with `helm package`".into()
            }
            Self::Beyond { .. } | Self::NoHelm => format!(
                "install helm and run the command again: `{INSTALL_HELM}`, or name it in HARMONY_HELM"
            ),
            Self::Unstable { .. } => {
                "set the value that it makes up, such as a password, in the values of the target, or create its Secret \
                 beforehand and name that"
                    .into()
            }
            Self::File { .. } => "mend that file and release the chart again".into(),
            Self::Value { help, .. } => help.clone(),
            Self::Helm { .. } => {
                "mend what helm complains of: the values, or the chart itself".into()
            }
            Self::Cancelled(cancelled) => cancelled.hints().join("; "),
        }
    }
}

/// The command that installs the version of helm that Harmony is tested with.
pub const INSTALL_HELM: &str = "go install helm.sh/helm/v4/cmd/helm@v4.3.1";

impl Diagnostic for RenderError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
            Self::Unstable { .. } => Origin::Own(codes::CHART_UNSTABLE),
            _ => Origin::Own(codes::CHART_NOT_RENDERED),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Beyond { place, .. } | Self::File { place, .. } => Some(place.to_string()),
            _ => None,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Helm { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        vec![self.help()]
    }
}
