//! The errors of charts.

use std::fmt;
use std::path::PathBuf;

use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};
use harmony_core::kubernetes::ObjectError;
use harmony_types::ReleaseUnit;

/// A file of a chart, and a line in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path within the chart.
    pub file: String,
    /// Starts at 1; `None` for the whole file.
    pub line: Option<usize>,
}

impl Place {
    pub fn file(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
        }
    }

    /// A line of the file, starting at 1.
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

/// An error of a chart. Nothing was written to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The archive is not a chart archive.
    #[error("the archive {problem}")]
    Archive { problem: String },
    /// The chart uses more of Helm than the chart format allows. Only `helm` can tell whether it is valid.
    #[error("{place}: Harmony cannot render {what} without helm")]
    Beyond {
        place: Place,
        /// What: an expression, a file, an annotation.
        what: String,
    },
    /// A file of the chart is invalid for any renderer.
    #[error("{place}: {problem}")]
    File { place: Place, problem: String },
    /// A value of the target does not fit the chart.
    #[error("the value `{path}` {problem}")]
    Value {
        /// The dotted path.
        path: String,
        problem: String,
        help: String,
    },
    /// Each rendering of the chart is different.
    #[error(
        "the chart generates a new `{field}` of {object} whenever it is rendered, so every deploy would change it"
    )]
    Unstable { object: String, field: String },
    /// A template reads objects of the cluster.
    #[error("{place}: the template calls `lookup`, which reads objects of the cluster")]
    Lookup { place: Place },
    /// The chart does not support the version of the cluster.
    #[error("the chart supports Kubernetes {wanted}, but the cluster has {found}")]
    KubeVersion {
        /// The range of versions in `Chart.yaml`.
        wanted: String,
        /// The version of the cluster.
        found: String,
    },
    /// Dependencies in `Chart.yaml` are not in `charts/`.
    #[error("the chart does not contain its subcharts {}", quoted(missing))]
    Subcharts { missing: Vec<String> },
    /// `helm` is required but not installed.
    #[error("helm is not installed")]
    NoHelm,
    /// `helm` could not be run, or refused the chart.
    #[error("`{command}` {problem}")]
    Helm {
        command: String,
        problem: String,
        output: Vec<String>,
    },
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl RenderError {
    /// The most likely fix, in one sentence.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Archive { .. } => {
                "package the chart again, with Harmony or with `helm package`".into()
            }
            Self::Beyond { .. } | Self::NoHelm => format!(
                "install helm and run the command again: `{INSTALL_HELM}`, or set HARMONY_HELM to its path"
            ),
            Self::Unstable { .. } => {
                "set the generated value, such as a password, in the values of the target, or create its Secret \
                 first and refer to it"
                    .into()
            }
            Self::File { .. } => "fix this file and release the chart again".into(),
            Self::Lookup { .. } => {
                "set the values that make the chart use an existing object, or call `with_empty_lookups()` on the Score: \
                 every `lookup` then finds nothing, as with `helm template` and Argo CD"
                    .into()
            }
            Self::KubeVersion { .. } => {
                "use a version of the chart that supports this version of Kubernetes".into()
            }
            Self::Subcharts { .. } => {
                "run `helm dependency build` in the directory of the chart; a published chart contains its subcharts"
                    .into()
            }
            Self::Value { help, .. } => help.clone(),
            Self::Helm { .. } => {
                "fix what helm reports: the values, or the chart itself".into()
            }
            Self::Cancelled(cancelled) => cancelled.hints().join("; "),
        }
    }
}

/// `a`, `b`
fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The command that installs the version of Helm that Harmony is tested with.
pub const INSTALL_HELM: &str = "go install helm.sh/helm/v4/cmd/helm@v4.3.1";

impl Diagnostic for RenderError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
            Self::Unstable { .. } => Origin::Own(codes::CHART_UNSTABLE),
            Self::Lookup { .. } => Origin::Own(codes::CHART_LOOKUP),
            Self::KubeVersion { .. } => Origin::Own(codes::CHART_KUBE_VERSION),
            Self::Subcharts { .. } => Origin::Own(codes::CHART_SUBCHARTS),
            _ => Origin::Own(codes::CHART_NOT_RENDERED),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Beyond { place, .. } | Self::File { place, .. } | Self::Lookup { place } => {
                Some(place.to_string())
            }
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

/// The reason why a chart cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A field depends on a value in a way that no placeholder can express.
    #[error("cannot generate the chart of {unit}: `{field}` of {object} {problem}")]
    NotDerivable {
        unit: Box<ReleaseUnit>,
        object: String,
        field: String,
        problem: String,
    },
    /// A value is not valid.
    #[error("the chart value `{path}` {problem}")]
    Value {
        /// The path as it was written.
        path: String,
        problem: String,
    },
    /// An object would store a secret in a registry.
    #[error("the chart of {unit} would contain a secret: {object}")]
    Secret {
        unit: Box<ReleaseUnit>,
        object: String,
    },
    /// The model returned an invalid object.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The chart function of the app failed.
    #[error("the chart of {unit} cannot be built")]
    Builder {
        unit: Box<ReleaseUnit>,
        #[source]
        source: BoxError,
    },
    /// A file of a chart's directory cannot be used.
    #[error("the chart's file `{}` {problem}", path.display())]
    File {
        path: PathBuf,
        problem: String,
        help: String,
        /// The error of the operating system, if there is one.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The chart refers to its image by tag, or not at all.
    #[error("the chart of {unit} does not name its image by digest")]
    ImageNotNamed { unit: Box<ReleaseUnit> },
    #[error("the chart cannot be packaged")]
    Archive {
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
                "use the value unchanged, or remove it from `values` and make it part of the model".into(),
            ],
            Self::Value { .. } => vec![
                "use a dotted path of names such as `nats.url`, each with letters, digits and `_`; the value is a \
                 string, a whole number or a boolean".into(),
            ],
            Self::Secret { .. } => vec![
                "a chart is stored in a registry: create the Secret separately, and refer to it in the chart".into(),
            ],
            Self::File { help, .. } => vec![help.clone()],
            Self::ImageNotNamed { .. } => vec![
                "use the image reference that the chart is given (`name@sha256:...`) where the workload names its \
                 image".into(),
            ],
            Self::Builder { .. } => vec!["fix the app's chart function".into()],
            Self::Object(_) | Self::Archive { .. } => Vec::new(),
        }
    }
}
