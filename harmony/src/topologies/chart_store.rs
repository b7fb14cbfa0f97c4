//! Charts and release records in a folder of this machine: what a laptop has instead of a registry for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_core::capability::oci_registry::{Published, RegistryError};
use harmony_core::capability::{HelmRegistry, ReleaseRecords};
use harmony_core::chart::PackagedChart;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, async_trait};
use harmony_types::{ChartRef, Digest, ReleaseUnit, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Keeps charts as `NAME-VERSION.tgz` beside a small description.
///
/// Unlike a registry it lets a version be replaced: nobody else reads it, and a laptop deploys what it has just built.
#[derive(Debug, Clone)]
pub struct ChartStore {
    context: Context,
    folder: PathBuf,
}

/// What stands beside an archive.
#[derive(Serialize, Deserialize)]
struct Description {
    metadata: serde_json::Value,
    digest: Digest,
    created: i64,
}

/// How the files of release records end.
const RECORD_SUFFIX: &str = ".release.json";

impl ChartStore {
    /// Charts in `folder`, which is made when the first one comes.
    pub fn new(context: Context, folder: impl Into<PathBuf>) -> Self {
        Self {
            context,
            folder: folder.into(),
        }
    }

    fn archive(&self, chart: &ChartRef) -> PathBuf {
        self.folder
            .join(format!("{}-{}.tgz", chart.name(), chart.version()))
    }

    fn record(&self, unit: &ReleaseUnit, version: &Version) -> PathBuf {
        self.folder.join(format!("{unit}-{version}{RECORD_SUFFIX}"))
    }

    async fn description(&self, chart: &ChartRef) -> Result<Option<Description>, RegistryError> {
        let path = self.archive(chart).with_extension("json");
        let text = match tokio::fs::read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(local(&path, error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| local(&path, error))
    }
}

#[async_trait]
impl HelmRegistry for ChartStore {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        let action = match self.description(to).await? {
            Some(there) if there.digest == chart.archive_digest => Action::Unchanged,
            Some(_) => Action::Update,
            None => Action::Create,
        };
        if action != Action::Unchanged && !self.context.is_planning() {
            let description = Description {
                metadata: chart.metadata.clone(),
                digest: chart.archive_digest.clone(),
                created: chart.created,
            };
            let text =
                serde_json::to_vec(&description).map_err(|error| local(&self.folder, error))?;
            let archive = self.archive(to);
            tokio::fs::create_dir_all(&self.folder)
                .await
                .map_err(|error| local(&self.folder, error))?;
            // The description goes last: a chart counts as there only when both are whole.
            replace(&archive, &chart.archive).await?;
            replace(&archive.with_extension("json"), &text).await?;
        }
        let digest = Some(chart.archive_digest.clone());
        Ok(Published {
            change: Change::new(action, to.clone()),
            digest,
        })
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        Ok(self
            .description(chart)
            .await?
            .map(|description| description.digest))
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        let missing = || RegistryError::NotFound {
            reference: chart.to_string(),
        };
        let description = self.description(chart).await?.ok_or_else(missing)?;
        let path = self.archive(chart);
        let archive: Arc<[u8]> = tokio::fs::read(&path)
            .await
            .map_err(|error| local(&path, error))?
            .into();
        let archive_digest = Digest::sha256_from_bytes(Sha256::digest(&archive).into());
        if archive_digest != description.digest {
            let reason = format!("its digest is {archive_digest}, not {}", description.digest);
            return Err(local(
                &path,
                io::Error::new(io::ErrorKind::InvalidData, reason),
            ));
        }
        Ok(PackagedChart {
            name: chart.name().to_string(),
            version: chart.version().clone(),
            metadata: description.metadata,
            archive,
            archive_digest,
            created: description.created,
        })
    }
}

/// Release records beside the charts, `NAME-VERSION.release.json`. As with charts, one may be replaced.
#[async_trait]
impl ReleaseRecords for ChartStore {
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError> {
        let path = self.record(unit, version);
        let action = match self.read_record(unit, version).await? {
            Some(kept) if kept == record => Action::Unchanged,
            Some(_) => Action::Update,
            None => Action::Create,
        };
        if action != Action::Unchanged && !self.context.is_planning() {
            tokio::fs::create_dir_all(&self.folder)
                .await
                .map_err(|error| local(&self.folder, error))?;
            replace(&path, record).await?;
        }
        Ok(Published {
            change: Change::new(action, Subject::File(path)),
            digest: Some(Digest::sha256_from_bytes(Sha256::digest(record).into())),
        })
    }

    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = self.record(unit, version);
        match tokio::fs::read(&path).await {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(local(&path, error)),
        }
    }

    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError> {
        let mut entries = match tokio::fs::read_dir(&self.folder).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(local(&self.folder, error)),
        };
        let mut versions = Vec::new();
        let failed = |error| local(&self.folder, error);
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

/// Written beside and renamed, so that a reader sees the old file or the new one.
async fn replace(path: &Path, content: &[u8]) -> Result<(), RegistryError> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    tokio::fs::write(&beside, content)
        .await
        .map_err(|error| local(&beside, error))?;
    tokio::fs::rename(&beside, path)
        .await
        .map_err(|error| local(path, error))
}

fn local(path: &Path, error: impl Into<harmony_core::diagnostic::BoxError>) -> RegistryError {
    RegistryError::Local {
        what: path.display().to_string(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(content: &[u8]) -> PackagedChart {
        PackagedChart {
            name: "app".into(),
            version: "1.0.0".parse().unwrap(),
            metadata: serde_json::json!({ "name": "app" }),
            archive: content.into(),
            archive_digest: Digest::sha256_from_bytes(Sha256::digest(content).into()),
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
        for (content, action) in [
            (b"one", Action::Create),
            (b"one", Action::Unchanged),
            (b"two", Action::Update),
        ] {
            let pushed = store.push_chart(&chart(content), &to).await.unwrap();
            assert_eq!(pushed.change.action, action);
            assert_eq!(store.pull_chart(&to).await.unwrap(), chart(content));
        }
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
        for (content, action) in [
            (b"one", Action::Create),
            (b"one", Action::Unchanged),
            (b"two", Action::Update),
        ] {
            let pushed = store.push_record(&web, &one, content).await.unwrap();
            assert_eq!(pushed.change.action, action);
            assert_eq!(
                store.read_record(&web, &one).await.unwrap().unwrap(),
                content
            );
        }
        // a unit whose name begins with another's is another
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
        std::fs::write(folder.path().join("app-1.0.0.tgz"), b"other").unwrap();
        assert!(matches!(
            store.pull_chart(&to).await,
            Err(RegistryError::Local { .. })
        ));
    }
}
