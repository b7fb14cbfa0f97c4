//! What can be wrong with a chart.

use std::fmt;
use std::path::PathBuf;

use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};
use harmony_core::kubernetes::ObjectError;
use harmony_types::ReleaseUnit;

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

/// A chart that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A field depends on a value in a way that no hole can express.
    #[error("the chart of {unit} cannot be derived: `{field}` of {object} {problem}")]
    NotDerivable {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
        /// Which object.
        object: String,
        /// Which field.
        field: String,
        /// Why not.
        problem: String,
    },
    /// A value is not one.
    #[error("the chart value `{path}` {problem}")]
    Value {
        /// Its path, as it was written.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// An object would put a secret into a registry.
    #[error("the chart of {unit} would hold a secret: {object}")]
    Secret {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
        /// Which object.
        object: String,
    },
    /// An object of the model is not one.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The app's own chart function failed.
    #[error("the chart of {unit} cannot be built")]
    Builder {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A file of a chart's directory cannot be used.
    #[error("the chart's file `{}` {problem}", path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The way out.
        help: String,
        /// Why, where the system says so.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The chart names its image by tag, or not at all.
    #[error("the chart of {unit} does not name its image by digest")]
    ImageNotNamed {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
    },
    /// The archive could not be written.
    #[error("the chart cannot be packed")]
    Archive {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnostic for ChartError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::NotDerivable { .. } => Origin::Own(codes::CHART_NOT_DERIVABLE),
            Self::Value { .. } => Origin::Own(codes::CHART_VALUE),
            Self::Secret { .. } => Origin::Own(codes::CHART_SECRET),
            Self::File { .. } => Origin::Own(codes::CHART_FILE),
            Self::ImageNotNamed { .. } => Origin::Own(codes::CHART_IMAGE_UNPINNED),
            Self::Builder { .. } => Origin::Own(codes::CHART_FUNCTION),
            Self::Archive { .. } => Origin::Own(codes::CHART_NOT_PACKED),
            Self::Object(error) => Origin::Inner(error),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NotDerivable { object, .. } | Self::Secret { object, .. } => Some(object.clone()),
            Self::File { path, .. } => Some(path.display().to_string()),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotDerivable { .. } => vec![
                "let the value come out as it went in, or leave it out of `values` and make it part of the model".into(),
            ],
            Self::Value { .. } => vec![
                "write a dotted path of names as in `nats.url`, each of letters, digits and `_`, and a text, a whole number or a boolean".into(),
            ],
            Self::Secret { .. } => vec![
                "a chart is stored in a registry: create the Secret apart from it, and name it in the chart".into(),
            ],
            Self::File { help, .. } => vec![help.clone()],
            Self::ImageNotNamed { .. } => vec![
                "write the image that the chart is given (`name@sha256:...`) where the workload names its image".into(),
            ],
            Self::Builder { .. } => vec!["fix the app's chart function".into()],
            Self::Object(_) | Self::Archive { .. } => Vec::new(),
        }
    }
}
