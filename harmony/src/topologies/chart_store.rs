//! Charts and release records in a directory of this machine, which a laptop uses instead of a registry.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_core::cache_dir::{CacheDir, CacheDirError};
use harmony_core::capability::oci_registry::{Published, RegistryError};
use harmony_core::capability::{HelmRegistry, ReleaseRecords};
use harmony_core::chart::PackagedChart;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, async_trait};
use harmony_oci::file::read_regular;
use harmony_oci::sha256;
use harmony_oci::write::replace;
use harmony_types::{ChartRef, Digest, ReleaseUnit, Version};
use serde::{Deserialize, Serialize};

/// Stores charts as `NAME-VERSION.tgz`, each with a small description.
///
/// As in a registry, a version is never changed: the same content is accepted silently, other content is refused.
#[derive(Debug, Clone)]
pub struct ChartStore {
    context: Context,
    folder: CacheDir,
}

/// The maximum size of a chart, in bytes.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The description next to an archive.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    metadata: serde_json::Value,
    digest: Digest,
    created: i64,
}

/// The suffix of release record files.
const RECORD_SUFFIX: &str = ".release.json";

impl ChartStore {
    /// A store in `folder`, which is created for the first chart.
    pub fn new(context: Context, folder: impl Into<CacheDir>) -> Self {
        Self {
            context,
            folder: folder.into(),
        }
    }

    fn record(&self, unit: &ReleaseUnit, version: &Version) -> Result<PathBuf, RegistryError> {
        let folder = self.folder.checked().map_err(untrusted)?;
        Ok(folder.join(format!("{unit}-{version}{RECORD_SUFFIX}")))
    }

    /// What is stored for a chart: nothing, or everything exactly as it was written.
    async fn stored(&self, chart: &ChartRef) -> Result<Stored, RegistryError> {
        let folder = self.folder.checked().map_err(untrusted)?;
        let archive = archive(&folder, chart);
        blocking(move || Stored::read(&archive)).await
    }
}

/// The content of the store for a name.
#[derive(Debug)]
enum Stored {
    Nothing,
    /// The content has changed since it was written. The next push replaces it.
    Damaged {
        path: PathBuf,
        source: io::Error,
    },
    Chart {
        description: Description,
        archive: Arc<[u8]>,
    },
}

impl Stored {
    fn read(path: &Path) -> Self {
        let described = path.with_extension("json");
        let damaged = |path: &Path, source: io::Error| Self::Damaged {
            path: path.to_owned(),
            source,
        };
        let text = match read_regular(&described, LIMIT) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Nothing,
            Err(error) => return damaged(&described, error),
        };
        let description: Description = match serde_json::from_slice(&text) {
            Ok(description) => description,
            Err(error) => return damaged(&described, error.into()),
        };
        let archive = match read_regular(path, LIMIT) {
            Ok(archive) => archive,
            Err(error) => return damaged(path, error),
        };
        let found = sha256(&archive);
        if found != description.digest {
            let reason = format!("its digest is {found}, not {}", description.digest);
            return damaged(path, io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Self::Chart {
            description,
            archive: archive.into(),
        }
    }
}

fn archive(folder: &Path, chart: &ChartRef) -> PathBuf {
    folder.join(format!("{}-{}.tgz", chart.name(), chart.version()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RegistryError::Local {
            what: "the chart store".into(),
            source: error.into(),
        })
}

fn untrusted(error: CacheDirError) -> RegistryError {
    RegistryError::Adapter(AnyDiagnostic::new(error))
}

#[async_trait]
impl HelmRegistry for ChartStore {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        let action = match self.stored(to).await? {
            Stored::Chart { description, .. } if description.digest == chart.archive_digest => {
                Action::Unchanged
            }
            Stored::Chart { description, .. } => {
                return Err(RegistryError::TagTaken {
                    reference: to.to_string(),
                    published: description.digest,
                    ours: chart.archive_digest.clone(),
                });
            }
            Stored::Damaged { .. } => Action::Update,
            Stored::Nothing => Action::Create,
        };
        if action != Action::Unchanged && !self.context.is_planning() {
            let description = Description {
                metadata: chart.metadata.clone(),
                digest: chart.archive_digest.clone(),
                created: chart.created,
            };
            let folder = self.folder.ready().map_err(untrusted)?;
            let text = serde_json::to_vec(&description).map_err(|error| local(&folder, error))?;
            let (path, content) = (archive(&folder, to), Arc::clone(&chart.archive));
            blocking(move || {
                // The description is written last: a chart exists only if both files are complete.
                replace(&path, &content).map_err(|error| local(&path, error))?;
                let described = path.with_extension("json");
                replace(&described, &text).map_err(|error| local(&described, error))
            })
            .await??;
        }
        let digest = Some(chart.archive_digest.clone());
        Ok(Published {
            change: Change::new(action, to.clone()),
            digest,
        })
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        Ok(match self.stored(chart).await? {
            Stored::Chart { description, .. } => Some(description.digest),
            Stored::Nothing | Stored::Damaged { .. } => None,
        })
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        match self.stored(chart).await? {
            Stored::Nothing => Err(RegistryError::NotFound {
                reference: chart.to_string(),
            }),
            Stored::Damaged { path, source } => Err(local(&path, source)),
            Stored::Chart {
                description,
                archive,
            } => Ok(PackagedChart {
                name: chart.name().clone(),
                version: chart.version().clone(),
                metadata: description.metadata,
                archive,
                archive_digest: description.digest,
                created: description.created,
            }),
        }
    }
}

/// Release records beside the charts, `NAME-VERSION.release.json`. As with charts, none is replaced.
#[async_trait]
impl ReleaseRecords for ChartStore {
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError> {
        let path = self.record(unit, version)?;
        let action = match self.read_record(unit, version).await? {
            Some(kept) if kept == record => Action::Unchanged,
            Some(kept) => {
                return Err(RegistryError::TagTaken {
                    reference: format!("the record of {unit} {version}"),
                    published: sha256(&kept),
                    ours: sha256(record),
                });
            }
            None => Action::Create,
        };
        if action != Action::Unchanged && !self.context.is_planning() {
            self.folder.ready().map_err(untrusted)?;
            let (path, record) = (path.clone(), record.to_vec());
            blocking(move || replace(&path, &record).map_err(|error| local(&path, error)))
                .await??;
        }
        Ok(Published {
            change: Change::new(action, Subject::File(path)),
            digest: Some(sha256(record)),
        })
    }

    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = self.record(unit, version)?;
        blocking(move || match read_regular(&path, LIMIT) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(local(&path, error)),
        })
        .await?
    }

    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError> {
        let folder = self.folder.checked().map_err(untrusted)?;
        let mut entries = match tokio::fs::read_dir(&folder).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(local(&folder, error)),
        };
        let mut versions = Vec::new();
        let failed = |error| local(&folder, error);
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let version = name
                .to_str()
                .and_then(|name| name.strip_suffix(RECORD_SUFFIX))
                .and_then(|name| name.strip_prefix(unit.as_str())?.strip_prefix('-'))
                .and_then(|version| Version::parse(version).ok());
            versions.extend(version.filter(|version| !version.is_work_tree()));
        }
        Ok(versions)
    }
}

fn local(path: &Path, error: impl Into<harmony_core::diagnostic::BoxError>) -> RegistryError {
    RegistryError::Local {
        what: path.display().to_string(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn chart(content: &[u8]) -> PackagedChart {
        PackagedChart {
            name: "app".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            metadata: serde_json::json!({ "name": "app" }),
            archive: content.into(),
            archive_digest: sha256(content),
            created: 7,
        }
    }

    #[tokio::test]
    async fn a_chart_comes_back_as_it_went_in() {
        let folder = tempfile::tempdir().unwrap();
        let store = ChartStore::new(Context::new(), folder.path().join("charts"));
        let to: ChartRef = "oci://localhost/app:1.0.0".parse().unwrap();
        assert!(matches!(
            store.pull_chart(&to).await,
            Err(RegistryError::NotFound { .. })
        ));
        for action in [Action::Create, Action::Unchanged] {
            let pushed = store.push_chart(&chart(b"one"), &to).await.unwrap();
            assert_eq!(pushed.change.action, action);
            assert_eq!(store.pull_chart(&to).await.unwrap(), chart(b"one"));
        }
    }

    #[tokio::test]
    async fn a_version_is_never_changed_also_not_by_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        let to: ChartRef = "oci://localhost/app:1.0.0".parse().unwrap();
        let unit = ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap();
        let version = "1.0.0".parse().unwrap();
        let store = ChartStore::new(Context::new(), folder.path());
        store.push_chart(&chart(b"one"), &to).await.unwrap();
        store.push_record(&unit, &version, b"one").await.unwrap();
        let taken = |error: RegistryError| match error {
            RegistryError::TagTaken {
                published, ours, ..
            } => [published, ours],
            other => panic!("taken, not {other:?}"),
        };
        for context in [Context::new(), Context::new().planning()] {
            let store = ChartStore::new(context, folder.path());
            let refused = store.push_chart(&chart(b"two"), &to).await;
            assert_eq!(
                taken(refused.unwrap_err()),
                [sha256(b"one"), sha256(b"two")]
            );
            let refused = store.push_record(&unit, &version, b"two").await;
            assert_eq!(
                taken(refused.unwrap_err()),
                [sha256(b"one"), sha256(b"two")]
            );
        }
        assert_eq!(store.pull_chart(&to).await.unwrap(), chart(b"one"));
        let kept = store.read_record(&unit, &version).await.unwrap();
        assert_eq!(kept.as_deref(), Some(&b"one"[..]));
    }

    #[tokio::test]
    async fn records_are_found_by_unit_and_version() {
        let folder = tempfile::tempdir().unwrap();
        let store = ChartStore::new(Context::new(), folder.path().join("charts"));
        let unit = |component: &str| {
            ReleaseUnit::new("shop".parse().unwrap(), component.parse().unwrap()).unwrap()
        };
        let (web, one): (_, Version) = (unit("web"), "1.0.0".parse().unwrap());
        assert_eq!(store.read_record(&web, &one).await.unwrap(), None);
        assert_eq!(store.released_versions(&web).await.unwrap(), []);
        for action in [Action::Create, Action::Unchanged] {
            let pushed = store.push_record(&web, &one, b"one").await.unwrap();
            assert_eq!(pushed.change.action, action);
            let kept = store.read_record(&web, &one).await.unwrap();
            assert_eq!(kept.as_deref(), Some(&b"one"[..]));
        }
        // a unit whose name starts with the name of another one is a different unit
        store
            .push_record(&unit("web-2"), &one, b"other")
            .await
            .unwrap();
        assert_eq!(
            store.released_versions(&web).await.unwrap(),
            std::slice::from_ref(&one)
        );
    }

    #[tokio::test]
    async fn planning_writes_nothing_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let to: ChartRef = "oci://localhost/app:1.0.0".parse().unwrap();
        let planning = ChartStore::new(Context::new().planning(), folder.path());
        assert_eq!(
            planning
                .push_chart(&chart(b"one"), &to)
                .await
                .unwrap()
                .change
                .action,
            Action::Create
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let store = ChartStore::new(Context::new(), folder.path());
        store.push_chart(&chart(b"one"), &to).await.unwrap();
        for (file, content) in [
            ("app-1.0.0.tgz", &b"onf"[..]),
            ("app-1.0.0.tgz", b""),
            ("app-1.0.0.json", b"{"),
        ] {
            std::fs::write(folder.path().join(file), content).unwrap();
            assert!(matches!(
                store.pull_chart(&to).await,
                Err(RegistryError::Local { .. })
            ));
            assert_eq!(store.resolve_chart(&to).await.unwrap(), None);
            // Publishing the same chart again repairs it.
            let pushed = store.push_chart(&chart(b"one"), &to).await.unwrap();
            assert_eq!(pushed.change.action, Action::Update);
            assert_eq!(store.pull_chart(&to).await.unwrap(), chart(b"one"));
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            store.pull_chart(&to).await,
            Err(RegistryError::Adapter(_))
        ));
    }
}
