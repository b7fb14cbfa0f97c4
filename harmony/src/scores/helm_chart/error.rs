//! The errors of third-party charts, before anything is installed.

use std::path::PathBuf;

use harmony_charts::index::IndexError;
use harmony_charts::remote::RepositoryUrl;
use harmony_charts::{ChartError, RemoteChart, RenderError};
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};
use harmony_types::{Digest, ResourceName};

/// A third-party chart cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum HelmChartError {
    /// The values of the Score are not a mapping.
    #[error("the values of `{release}` {problem}")]
    Values {
        /// The name of the Score.
        release: String,
        /// The problem.
        problem: String,
    },
    /// The name of the Score cannot be used as a label value and object name.
    #[error("`{release}` is not valid as a label value and object name")]
    UnfitName {
        /// The name.
        release: ResourceName,
    },
    /// The chart has no entry in `charts.lock`, and recording one was not approved.
    #[error("{chart} is not in charts.lock")]
    NotLocked {
        /// The chart.
        chart: RemoteChart,
        /// The digest of what was downloaded.
        digest: Digest,
        /// The file.
        path: PathBuf,
    },
    /// The downloaded chart is not the one in `charts.lock`.
    #[error("{chart} is not the chart whose digest is in charts.lock")]
    Changed {
        /// The chart.
        chart: RemoteChart,
        /// The digest in the file.
        pinned: Digest,
        /// The digest of what was downloaded.
        found: Digest,
        /// The file.
        path: PathBuf,
    },
    /// The file is not valid.
    #[error("`{}` is not valid: {problem}", path.display())]
    LockInvalid {
        /// The file.
        path: PathBuf,
        /// The problem and its line.
        problem: String,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    LockUnreadable {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    LockNotWritten {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The file is not on this machine.
    #[error("cannot record {chart}: `{}` does not exist", path.display())]
    NoCheckout {
        /// The chart.
        chart: RemoteChart,
        /// The file.
        path: PathBuf,
    },
    /// The chart cannot be downloaded.
    #[error("cannot download {chart}")]
    Download {
        /// The chart.
        chart: RemoteChart,
        /// The underlying error.
        #[source]
        source: RegistryError,
    },
    /// The repository does not have this chart or version.
    #[error("cannot find the chart in the repository {repository}")]
    NotListed {
        /// The repository.
        repository: RepositoryUrl,
        /// What is missing.
        #[source]
        source: IndexError,
    },
    /// The archive does not have the digest in the index of its repository.
    #[error("the archive of {chart} does not have the digest in the index of its repository")]
    Corrupt {
        /// The chart.
        chart: RemoteChart,
        /// The digest in the index.
        expected: Digest,
        /// The digest of the archive.
        found: Digest,
    },
    /// The directory is not a chart.
    #[error("the directory of the chart cannot be used")]
    Directory(#[source] ChartError),
    /// The chart cannot be rendered.
    #[error("cannot render {chart}")]
    Render {
        /// The chart.
        chart: String,
        /// The underlying error.
        #[source]
        source: RenderError,
    },
    /// A task of this program ended unexpectedly.
    #[error("a task of this program failed")]
    Task {
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The objects cannot be installed.
    #[error(transparent)]
    Install(#[from] DeliveryError),
    /// The cluster cannot be asked what it supports.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl HelmChartError {
    /// The error of a chart that cannot be rendered.
    pub(super) fn rendered(chart: String, source: RenderError) -> Self {
        match source {
            RenderError::Cancelled(cancelled) => cancelled.into(),
            source => Self::Render { chart, source },
        }
    }
}

impl Diagnostic for HelmChartError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Values { .. } => Origin::Own(codes::CHART_VALUES_SHAPE),
            Self::UnfitName { .. } => Origin::Own(codes::CHART_RELEASE_NAME),
            Self::NotLocked { .. } => Origin::Own(codes::CHART_NOT_LOCKED),
            Self::Changed { .. } => Origin::Own(codes::CHART_CHANGED),
            Self::LockInvalid { .. }
            | Self::LockUnreadable { .. }
            | Self::LockNotWritten { .. }
            | Self::NoCheckout { .. } => Origin::Own(codes::CHART_LOCK_FILE),
            Self::Download { source, .. } => Origin::Inner(source),
            Self::NotListed { .. } => Origin::Own(codes::CHART_NOT_LISTED),
            Self::Corrupt { .. } => Origin::Own(codes::CHART_ARCHIVE),
            Self::Directory(source) => Origin::Inner(source),
            Self::Render { source, .. } => Origin::Inner(source),
            Self::Task { .. } => Origin::Own(codes::CHART_TASK),
            Self::Install(error) => Origin::Inner(error),
            Self::Cluster(error) => Origin::Inner(error),
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Download { .. } | Self::Task { .. } | Self::LockNotWritten { .. } => {
                FailureKind::Failed
            }
            _ => FailureKind::Refused,
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NotLocked { path, .. }
            | Self::Changed { path, .. }
            | Self::LockInvalid { path, .. }
            | Self::NoCheckout { path, .. } => Some(path.display().to_string()),
            _ => None,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::NotLocked { digest, .. } => vec![format!("the digest of the chart: {digest}")],
            Self::Changed { pinned, found, .. } => vec![
                format!("in charts.lock: {pinned}"),
                format!("downloaded:     {found}"),
            ],
            Self::Corrupt {
                expected, found, ..
            } => vec![
                format!("expected: {expected}"),
                format!("received: {found}"),
            ],
            Self::NotListed {
                source: IndexError::NoChart { similar, .. },
                ..
            } => vec![format!("charts of this repository: {}", similar.join(", "))],
            Self::NotListed {
                source: IndexError::NoVersion { listed, .. },
                ..
            } => vec![format!("latest versions: {}", listed.join(", "))],
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Values { .. } => vec!["use a struct, or a map with strings as keys".into()],
            Self::UnfitName { .. } => {
                vec!["use a name of at most 53 lower-case letters, digits and `-`".into()]
            }
            Self::NotLocked { .. } => vec![
                "run this program with `plan --lock-charts` in its checkout, then commit charts.lock".into(),
            ],
            Self::Changed { .. } => vec![
                "ask the authors of the chart why a published version has changed".into(),
                "if you trust the new content, delete the entry from charts.lock and run this program with `plan \
                 --lock-charts`"
                    .into(),
            ],
            Self::LockInvalid { .. } => vec![
                "restore the file from git, or delete its content and run this program with `plan --lock-charts`".into(),
            ],
            Self::NoCheckout { .. } => vec![
                "run this program with `plan --lock-charts` in its checkout, then commit charts.lock and build it again"
                    .into(),
            ],
            Self::Download {
                chart,
                source: RegistryError::Denied { .. },
            } => vec![format!(
                "the login in the configuration is only for your own registry: use `docker login {}`",
                chart.origin().host()
            )],
            Self::NotListed { .. } => {
                vec!["use a name and a version that the repository lists".into()]
            }
            Self::Corrupt { .. } => vec![
                "run the same command again; if the error persists, tell the owner of the repository".into(),
            ],
            _ => Vec::new(),
        }
    }
}
