//! The `charts.lock` of a deploy crate.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use harmony_charts::RemoteChart;
use harmony_charts::lock_file::LockFile;
use harmony_charts::remote::RemoteChartError;
use harmony_oci::write::replace;
use harmony_types::Digest;

use super::error::HelmChartError;

/// The digests of the third-party charts of a deploy crate, in the file `charts.lock` beside its `Cargo.toml`.
///
/// [`charts_lock!`](crate::charts_lock) compiles the content of the file into the program, so that it deploys the same
/// charts on any machine, without a checkout. Before the first chart is used, the file must exist; it may be empty.
///
/// A chart without an entry is used only after its digest was recorded: on a terminal, `apply` asks, and
/// `--lock-charts` records it without asking. A chart whose content differs from its entry is refused. An entry is never
/// changed; to accept other content, delete the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartsLock {
    path: PathBuf,
    compiled: Cow<'static, str>,
}

/// A chart, and the file that records its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedChart {
    /// The chart.
    pub chart: RemoteChart,
    /// The file.
    pub lock: ChartsLock,
}

/// The [`ChartsLock`](crate::scores::ChartsLock) of the calling crate, with its content when it was compiled.
#[macro_export]
macro_rules! charts_lock {
    () => {
        $crate::scores::ChartsLock::new(
            concat!(env!("CARGO_MANIFEST_DIR"), "/charts.lock"),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts.lock")),
        )
    };
}

impl ChartsLock {
    /// The file at `path`, with the content that it had when the program was compiled. Use
    /// [`charts_lock!`](crate::charts_lock) instead.
    pub fn new(path: impl Into<PathBuf>, compiled: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            compiled: compiled.into(),
        }
    }

    /// A chart in an OCI registry, such as `oci://ghcr.io/stefanprodan/charts/podinfo`.
    ///
    /// # Errors
    /// The URL or the version is not valid.
    pub fn oci(&self, url: &str, version: &str) -> Result<LockedChart, RemoteChartError> {
        Ok(self.locked(RemoteChart::oci(url, version)?))
    }

    /// A chart of a repository: the URL in front of `/index.yaml`, and the name of the chart there.
    ///
    /// # Errors
    /// The URL, the name or the version is not valid.
    pub fn repository(
        &self,
        url: &str,
        name: &str,
        version: &str,
    ) -> Result<LockedChart, RemoteChartError> {
        Ok(self.locked(RemoteChart::repository(url, name, version)?))
    }

    fn locked(&self, chart: RemoteChart) -> LockedChart {
        LockedChart {
            chart,
            lock: self.clone(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The digest of the chart: the compiled entry, else that of the file, to which an earlier run may have added it.
    pub(super) fn digest_of(&self, chart: &RemoteChart) -> Result<Option<Digest>, HelmChartError> {
        if let Some(digest) = self.parse(&self.compiled)?.digest_of(chart) {
            return Ok(Some(digest.clone()));
        }
        let file = self.read()?.unwrap_or_default();
        Ok(file.digest_of(chart).cloned())
    }

    /// Adds an entry to the file.
    pub(super) fn record(
        &self,
        chart: &RemoteChart,
        digest: &Digest,
    ) -> Result<(), HelmChartError> {
        let file = self.read()?.ok_or_else(|| HelmChartError::NoCheckout {
            chart: chart.clone(),
            path: self.path.clone(),
        })?;
        let text = file.with(chart, digest).to_text();
        replace(&self.path, text.as_bytes()).map_err(|error| HelmChartError::LockNotWritten {
            path: self.path.clone(),
            source: error.into(),
        })
    }

    /// The file; `None` if it does not exist, as on a machine without a checkout.
    fn read(&self) -> Result<Option<LockFile>, HelmChartError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => self.parse(&text).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HelmChartError::LockUnreadable {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn parse(&self, text: &str) -> Result<LockFile, HelmChartError> {
        LockFile::parse(text).map_err(|problem| HelmChartError::LockInvalid {
            path: self.path.clone(),
            problem,
        })
    }
}
