//! Where the chart of a Score comes from.

use std::path::PathBuf;

use harmony_charts::RemoteChart;

use super::lock::ChartsLock;

/// The source of a third-party chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelmSource {
    /// A chart of a registry or a repository, pinned by its digest. See [`ChartsLock::oci`] and
    /// [`ChartsLock::repository`].
    Locked(LockedChart),
    /// A directory of the project, such as `concat!(env!("CARGO_MANIFEST_DIR"), "/charts/web")`, with its subcharts in
    /// `charts/`. Deploys need the checkout.
    Directory(PathBuf),
}

/// A chart, and the file that records its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedChart {
    /// The chart.
    pub chart: RemoteChart,
    /// The file.
    pub lock: ChartsLock,
}

impl HelmSource {
    /// A directory of the project.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::Directory(path.into())
    }
}

impl From<LockedChart> for HelmSource {
    fn from(chart: LockedChart) -> Self {
        Self::Locked(chart)
    }
}
