//! Fetches the archive of a chart, and checks it against `charts.lock`.
//!
//! ```text
//! entry in charts.lock? --yes--> in the cache? --no--> download --> same digest? --no--> refused
//!        \--no--> download --> consent --> recorded
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use harmony_charts::remote::Origin;
use harmony_charts::{Chart, RemoteChart, index};
use harmony_core::Context;
use harmony_core::approval::{Pin, PinAnswer};
use harmony_core::cache_dir::CacheDir;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_oci::file::read_regular;
use harmony_oci::sha256;
use harmony_oci::write::replace;
use harmony_registry::ChartDownloads;
use harmony_types::{Digest, Repository};

use super::error::HelmChartError;
use super::lock::LockedChart;
use super::source::HelmSource;
use crate::dirs;
use crate::topologies::settings_for;

/// The maximum size of an archive and of an index. The largest public indexes have about 30 MB.
const ARCHIVE_LIMIT: u64 = 64 * 1024 * 1024;
const INDEX_LIMIT: u64 = 128 * 1024 * 1024;

const INDEX: &str = "index.yaml";

/// A chart on this machine.
#[derive(Debug)]
pub(super) struct Fetched {
    /// For errors: `podinfo 6.14.1 of oci://ghcr.io/stefanprodan/charts`.
    pub(super) what: String,
    pub(super) version: String,
    pub(super) archive: Arc<[u8]>,
    pub(super) digest: Digest,
    /// The new entry in `charts.lock`.
    pub(super) change: Option<Change>,
}

/// The chart of a Score.
pub(super) async fn fetch(
    context: &Context,
    source: &HelmSource,
) -> Result<Fetched, HelmChartError> {
    match source {
        HelmSource::Locked(chart) => locked(context, chart).await,
        HelmSource::Directory(path) => {
            let path = path.clone();
            blocking(move || directory(path)).await?
        }
    }
}

fn directory(path: PathBuf) -> Result<Fetched, HelmChartError> {
    let what = format!("the directory {}", path.display());
    let archive = Chart::from_directory(&path).and_then(|chart| {
        chart
            .to_archive(0)
            .map_err(|source| harmony_charts::ChartError::Archive { source })
    });
    let archive = archive.map_err(HelmChartError::Directory)?;
    Ok(Fetched {
        what,
        version: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        digest: sha256(&archive),
        archive: archive.into(),
        change: None,
    })
}

async fn locked(context: &Context, locked: &LockedChart) -> Result<Fetched, HelmChartError> {
    let LockedChart { chart, lock } = locked;
    let fetched = |archive: Arc<[u8]>, digest, change| Fetched {
        what: chart.to_string(),
        version: chart.version().to_string(),
        archive,
        digest,
        change,
    };
    let pinned = lock.digest_of(chart)?;
    let cache = dirs::cache().join("third-party-charts");
    if let Some(digest) = &pinned
        && let Some(archive) = cached(&cache, digest).await
    {
        return Ok(fetched(archive, digest.clone(), None));
    }
    let step = context.step(format!("fetch the chart {chart}"));
    let archive = download(context, chart).await?;
    let digest = sha256(&archive);
    let change = match &pinned {
        Some(pinned) if *pinned != digest => {
            return Err(HelmChartError::Changed {
                chart: chart.clone(),
                pinned: pinned.clone(),
                found: digest,
                path: lock.path().to_owned(),
            });
        }
        Some(_) => None,
        None => {
            chart
                .check(&archive)
                .map_err(|source| HelmChartError::rendered(chart.to_string(), source))?;
            Some(pin(context, locked, &digest).await?)
        }
    };
    // A cache that cannot be used is no reason to fail.
    if let Err(error) = store(&cache, &digest, &archive).await {
        tracing::debug!(%error, "the chart is not cached");
    }
    step.done(digest.to_string());
    Ok(fetched(archive, digest, change))
}

/// Records the digest of a chart that is used for the first time, if that is approved.
async fn pin(
    context: &Context,
    LockedChart { chart, lock }: &LockedChart,
    digest: &Digest,
) -> Result<Change, HelmChartError> {
    let pin = Pin {
        what: chart.to_string(),
        digest: digest.clone(),
        file: lock.path().to_owned(),
    };
    let change = || Change::new(Action::Update, Subject::File(lock.path().to_owned()));
    match context.approve_pin(&pin).await? {
        PinAnswer::Record => {
            lock.record(chart, digest)?;
            Ok(change().with_note(format!("records {chart} with {digest}")))
        }
        PinAnswer::Planned => Ok(change().with_note(format!(
            "would record {chart} with {digest}, if that is approved"
        ))),
        PinAnswer::Refuse => Err(HelmChartError::NotLocked {
            chart: chart.clone(),
            digest: digest.clone(),
            path: lock.path().to_owned(),
        }),
    }
}

async fn download(context: &Context, chart: &RemoteChart) -> Result<Arc<[u8]>, HelmChartError> {
    let host = chart.origin().host();
    let settings = settings_for(host);
    let failed = |source| HelmChartError::Download {
        chart: chart.clone(),
        source,
    };
    match chart.origin() {
        Origin::Oci { path, .. } => {
            let downloads = ChartDownloads::new(context.clone(), host, path.as_ref(), settings);
            let repository = match path {
                Some(path) => path.join(chart.name()).expect("checked when it was parsed"),
                None => Repository::from(chart.name()),
            };
            let read = downloads.map_err(failed)?;
            let (_, archive) = read
                .oci(&repository, &chart.version().tag())
                .await
                .map_err(failed)?;
            Ok(archive.to_vec().into())
        }
        Origin::Repository(url) => {
            let downloads = ChartDownloads::new(context.clone(), host, None, settings);
            let read = downloads.map_err(failed)?;
            let index = read
                .file(url.path(), INDEX, INDEX_LIMIT)
                .await
                .map_err(failed)?;
            let (name, version) = (chart.name().clone(), chart.version().clone());
            let find = move || index::find(&String::from_utf8_lossy(&index), &name, &version);
            let listed = blocking(find)
                .await?
                .map_err(|source| HelmChartError::NotListed {
                    repository: url.clone(),
                    source,
                })?;
            let location = listed.urls.first().map(String::as_str).unwrap_or_default();
            let archive = read
                .file(url.path(), location, ARCHIVE_LIMIT)
                .await
                .map_err(failed)?;
            let digest = sha256(&archive);
            match listed.digest {
                Some(expected) if expected != digest => Err(HelmChartError::Corrupt {
                    chart: chart.clone(),
                    expected,
                    found: digest,
                }),
                _ => Ok(archive.to_vec().into()),
            }
        }
    }
}

/// The archive with that digest, if it is in the cache and not damaged.
async fn cached(cache: &CacheDir, digest: &Digest) -> Option<Arc<[u8]>> {
    let path = cache.checked().ok()?.join(file_name(digest));
    let read = blocking(move || read_regular(&path, ARCHIVE_LIMIT).ok()).await;
    let archive = read.ok().flatten()?;
    (sha256(&archive) == *digest).then(|| archive.into())
}

async fn store(cache: &CacheDir, digest: &Digest, archive: &Arc<[u8]>) -> std::io::Result<()> {
    let folder = cache.ready().map_err(std::io::Error::other)?;
    let (path, archive) = (folder.join(file_name(digest)), Arc::clone(archive));
    tokio::task::spawn_blocking(move || replace(&path, &archive).map_err(std::io::Error::other))
        .await
        .map_err(std::io::Error::other)?
}

fn file_name(digest: &Digest) -> String {
    format!("{}.tgz", digest.hex())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HelmChartError> {
    let work = tokio::task::spawn_blocking(work);
    work.await.map_err(|error| HelmChartError::Task {
        source: error.into(),
    })
}
