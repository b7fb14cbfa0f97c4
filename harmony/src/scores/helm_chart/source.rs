//! Where the chart of a Score comes from.

use std::path::PathBuf;

use super::lock::LockedChart;

/// The source of a third-party chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelmSource {
    /// A chart of a registry or a repository, pinned by its digest. See [`ChartsLock::oci`] and
    /// [`ChartsLock::repository`].
    ///
    /// [`ChartsLock::oci`]: super::ChartsLock::oci
    /// [`ChartsLock::repository`]: super::ChartsLock::repository
    Locked(LockedChart),
    /// A directory of the project, such as `concat!(env!("CARGO_MANIFEST_DIR"), "/charts/web")`, with its subcharts in
    /// `charts/`. Deploys need the checkout.
    Directory(PathBuf),
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
