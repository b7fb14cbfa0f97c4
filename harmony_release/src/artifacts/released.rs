//! The artifacts of a release, found by its record in the registry.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{ContinuousDelivery, ReleaseRecords};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{ImageRef, Version, VersionError};
use tokio::sync::Mutex;

use super::error::Missing;
use super::{ArtifactError, Artifacts, Supplied, VersionedChart, WhichImage};
use crate::app_spec::AppSpec;
use crate::crate_version::written_version;
use crate::record::ReleaseRecord;

/// Deploys releases, with exactly the recorded digests.
#[derive(Debug, Clone)]
pub struct Released {
    choice: VersionChoice,
    found: Arc<Mutex<BTreeMap<String, Arc<ReleaseRecord>>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionChoice {
    Exact(Version),
    /// The highest released version. Pre-releases count only if there is no other release.
    LatestReleased,
    /// The version in the source, which was released by a [`ReleaseScore`](crate::ReleaseScore) before.
    OfSource,
}

impl VersionChoice {
    /// The text for [`VersionChoice::LatestReleased`].
    pub const LATEST_RELEASED: &str = "latest-released";
}

/// The reason why a string does not select a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionChoiceError {
    #[error(
        "{source}; use a version such as `1.4.0`, or `{}`",
        VersionChoice::LATEST_RELEASED
    )]
    Version { source: VersionError },
    /// It is the version of a work tree.
    #[error("`{version}` is the version of a work tree, not of a release")]
    WorkTree { version: Version },
}

impl FromStr for VersionChoice {
    type Err = VersionChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == Self::LATEST_RELEASED {
            return Ok(Self::LatestReleased);
        }
        let version: Version = text
            .parse()
            .map_err(|source| VersionChoiceError::Version { source })?;
        if version.is_work_tree() {
            return Err(VersionChoiceError::WorkTree { version });
        }
        Ok(Self::Exact(version))
    }
}

impl fmt::Display for VersionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(f),
            Self::LatestReleased => f.write_str(Self::LATEST_RELEASED),
            Self::OfSource => f.write_str("the version of the source"),
        }
    }
}

impl Released {
    /// The releases selected by `choice`. They are not looked up yet.
    pub fn new(choice: VersionChoice) -> Self {
        Self {
            choice,
            found: Arc::default(),
        }
    }

    pub fn exact(version: Version) -> Self {
        Self::new(VersionChoice::Exact(version))
    }

    /// The record of the selected release, looked up once for all clones of this value.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub async fn record<T: ReleaseRecords>(
        &self,
        app: &AppSpec,
        topology: &T,
    ) -> Result<Arc<ReleaseRecord>, ArtifactError> {
        let mut found = self.found.lock().await;
        if let Some(record) = found.get(app.unit.as_str()) {
            return Ok(Arc::clone(record));
        }
        let record = Arc::new(self.find(app, topology).await?);
        found.insert(app.unit.to_string(), Arc::clone(&record));
        Ok(record)
    }

    async fn find<T: ReleaseRecords>(
        &self,
        app: &AppSpec,
        topology: &T,
    ) -> Result<ReleaseRecord, ArtifactError> {
        let version = match &self.choice {
            VersionChoice::Exact(version) => Some(version.clone()),
            VersionChoice::OfSource => Some(written_version(app).await?.version),
            VersionChoice::LatestReleased => latest(topology.released_versions(&app.unit).await?),
        };
        if let Some(version) = &version
            && let Some(bytes) = topology.read_record(&app.unit, version).await?
        {
            return Ok(ReleaseRecord::read(&bytes, &app.unit, version)?);
        }
        let missing = Missing {
            released: topology.released_versions(&app.unit).await?,
            unit: app.unit.clone(),
            version,
        };
        Err(ArtifactError::NotReleased {
            missing: vec![missing],
        })
    }
}

fn latest(versions: Vec<Version>) -> Option<Version> {
    let (pre, full): (Vec<_>, Vec<_>) = versions
        .into_iter()
        .filter(|version| !version.is_work_tree())
        .partition(Version::is_pre_release);
    full.into_iter().max().or_else(|| pre.into_iter().max())
}

#[async_trait]
impl<T> Artifacts<T> for Released
where
    T: Topology + ReleaseRecords + ContinuousDelivery,
{
    async fn image(
        &self,
        app: &AppSpec,
        which: &WhichImage,
        _: &Inventory,
        topology: &T,
    ) -> Result<Supplied<ImageRef>, ArtifactError> {
        let record = self.record(app, topology).await?;
        let image = match which {
            WhichImage::Own => Some(&record.image),
            WhichImage::Bundled(name) => record.bundled.get(name),
        };
        let artifact = image
            .cloned()
            .ok_or_else(|| ArtifactError::NoBundledImage {
                unit: Box::new(app.unit.clone()),
                image: format!("{which:?}"),
            })?;
        Ok(Supplied {
            artifact,
            outcome: Outcome::default(),
        })
    }

    async fn chart(
        &self,
        app: &AppSpec,
        _: &Inventory,
        topology: &T,
    ) -> Result<Supplied<VersionedChart>, ArtifactError> {
        let record = self.record(app, topology).await?;
        let chart = record.chart.clone().ok_or_else(|| ArtifactError::NoChart {
            unit: Box::new(app.unit.clone()),
        })?;
        Ok(Supplied {
            artifact: VersionedChart {
                chart,
                version: record.version.clone(),
            },
            outcome: Outcome::default(),
        })
    }

    fn gather(&self, apps: Vec<Arc<AppSpec>>) -> Box<dyn Score<T>> {
        Box::new(FindReleasesScore {
            released: self.clone(),
            apps,
        })
    }
}

/// Looks up the releases of several apps before the first deploy, and reports all that are missing at once.
#[derive(Debug, Clone)]
pub struct FindReleasesScore {
    released: Released,
    apps: Vec<Arc<AppSpec>>,
}

impl<T: Topology + ReleaseRecords> Score<T> for FindReleasesScore {
    fn name(&self) -> String {
        "find-releases".into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + ReleaseRecords> Interpret<T> for FindReleasesScore {
    async fn execute(&self, _: &Inventory, topology: &T) -> Result<Outcome, InterpretError> {
        let failed = |error| InterpretError::new(Score::<T>::name(self), error);
        let (mut outcome, mut all_missing) = (Outcome::unchanged(), Vec::new());
        for app in &self.apps {
            match self.released.record(app, topology).await {
                Ok(record) => {
                    outcome = outcome.with_note(format!(
                        "{} {} of commit {}",
                        app.unit,
                        record.version,
                        record.commit.short()
                    ));
                }
                Err(ArtifactError::NotReleased { missing }) => all_missing.extend(missing),
                Err(error) => return Err(failed(error)),
            }
        }
        if all_missing.is_empty() {
            Ok(outcome)
        } else {
            Err(failed(ArtifactError::NotReleased {
                missing: all_missing,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(texts: &[&str]) -> Vec<Version> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_latest_is_a_full_release_where_there_is_one() {
        let newest = |texts: &[&str]| latest(versions(texts)).map(|version| version.to_string());
        assert_eq!(
            newest(&["0.9.0", "0.10.0", "1.0.0-rc.1"]).unwrap(),
            "0.10.0"
        );
        assert_eq!(
            newest(&["1.0.0-rc.2", "1.0.0-rc.10"]).unwrap(),
            "1.0.0-rc.10"
        );
        assert_eq!(newest(&["1.0.0-dev.4dd02ac76d13"]), None);
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn a_choice_is_a_version_or_the_latest() {
        let choice = |text: &str| text.parse::<VersionChoice>();
        assert_eq!(choice("latest-released"), Ok(VersionChoice::LatestReleased));
        assert_eq!(
            choice("0.3.1"),
            Ok(VersionChoice::Exact("0.3.1".parse().unwrap()))
        );
        assert!(matches!(
            choice("latest"),
            Err(VersionChoiceError::Version { .. })
        ));
        assert!(matches!(
            choice("0.1.0-dev.4dd02ac76d13"),
            Err(VersionChoiceError::WorkTree { .. })
        ));
    }
}
