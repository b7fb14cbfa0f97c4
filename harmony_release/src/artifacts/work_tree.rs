//! The artifacts of the work tree: built from the current files, and published under a version that contains a hash of
//! their content.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{ContainerBuilder, HelmRegistry, OciRegistry, WorkTrees};
use harmony_core::image::{Built, ImageSource};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{Digest, ImageRef, ReleaseUnit, Version};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};

use super::{ArtifactError, Artifacts, Supplied, VersionedChart, WhichImage};
use crate::app_chart;
use crate::app_spec::AppSpec;
use crate::crate_version::written_version;
use crate::pinned_image::PinnedImage;
use crate::publish::{self, ImageToPublish, Provenance, PublishedImage};

/// Deploys the work tree as it is, without a commit.
///
/// The image and the chart get a version that no release can have: `0.1.0-dev.` and digits of the content's digest. The
/// same content has the same version wherever it is built, and existing releases are not affected.
///
/// Each image is built once for all clones of a value. Create a new value to build again.
#[derive(Debug, Clone, Default)]
pub struct WorkTree(Arc<BuiltOnce>);

#[derive(Debug, Default)]
struct BuiltOnce {
    images: Once<PublishedImage>,
    charts: Once<VersionedChart>,
}

/// Values that are created once each, by name.
#[derive(Debug)]
struct Once<V>(Mutex<HashMap<String, Arc<OnceCell<V>>>>);

impl<V> Default for Once<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Once<V> {
    /// The value for `name`, and whether `make` had to run for it.
    async fn get(
        &self,
        name: &str,
        make: impl AsyncFnOnce() -> Result<V, ArtifactError>,
    ) -> Result<(V, bool), ArtifactError> {
        let cell = Arc::clone(self.0.lock().await.entry(name.to_owned()).or_default());
        let mut is_new = false;
        let value = cell
            .get_or_try_init(async || {
                is_new = true;
                make().await
            })
            .await?;
        Ok((value.clone(), is_new))
    }
}

impl WorkTree {
    pub fn new() -> Self {
        Self::default()
    }

    async fn published<T>(
        &self,
        app: &AppSpec,
        unit: &ReleaseUnit,
        source: &ImageSource,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<(PublishedImage, bool), ArtifactError>
    where
        T: Topology + ContainerBuilder + OciRegistry + WorkTrees,
    {
        let publish = async || {
            let base = base_version(app).await?;
            let image = ImageToPublish {
                unit: unit.clone(),
                app,
                source,
            };
            let at = topology.work_trees();
            let provenance = Provenance::default();
            let unnamed = at.image(unit, &base);
            let built = publish::build(topology, inventory, &image, &unnamed, &provenance).await?;
            let name = at.image(unit, &version_of(&base, &built));
            Ok(publish::push(topology, &built, &name).await?)
        };
        self.0.images.get(unit.as_str(), publish).await
    }
}

/// The version of the next release, or of the current one if the work tree has been released.
async fn base_version(app: &AppSpec) -> Result<Version, ArtifactError> {
    if !app.project_root.is_dir() {
        return Err(ArtifactError::NoSources {
            unit: Box::new(app.unit.clone()),
            root: app.project_root.clone(),
        });
    }
    Ok(written_version(app).await?.version)
}

fn version_of(base: &Version, built: &Built) -> Version {
    match built.digest() {
        Some(digest) => Version::of_work_tree(base, digest),
        None => Version::of_unbuilt_work_tree(base),
    }
}

#[async_trait]
impl<T> Artifacts<T> for WorkTree
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry + WorkTrees,
{
    async fn image(
        &self,
        app: &AppSpec,
        which: &WhichImage,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Supplied<ImageRef>, ArtifactError> {
        let (unit, source) = match which {
            WhichImage::Own => (app.unit.clone(), &app.image),
            WhichImage::Bundled(name) => {
                let mut bundled = app.bundled.iter();
                let image = bundled.find(|image| image.name == *name).ok_or_else(|| {
                    ArtifactError::NoBundledImage {
                        unit: Box::new(app.unit.clone()),
                        image: name.to_string(),
                    }
                })?;
                (app.bundled_unit(image)?, &image.image)
            }
        };
        let (published, is_new) = self
            .published(app, &unit, source, inventory, topology)
            .await?;
        Ok(Supplied {
            artifact: published.image,
            outcome: outcome_of(is_new, published.change),
        })
    }

    async fn chart(
        &self,
        app: &AppSpec,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Supplied<VersionedChart>, ArtifactError> {
        let mut outcome = Outcome::default();
        let make = async || {
            let base = base_version(app).await?;
            // Find errors of the chart before a build that takes minutes.
            if !app_chart::try_out(app, &base, topology.work_trees())? {
                return Err(ArtifactError::NoChart {
                    unit: Box::new(app.unit.clone()),
                });
            }
            let (published, is_new) = self
                .published(app, &app.unit, &app.image, inventory, topology)
                .await?;
            outcome.absorb(outcome_of(is_new, published.change.clone()));
            let unbuilt_image = PinnedImage::unbuilt(&published.image);
            let image = published.pinned().unwrap_or(&unbuilt_image);
            // The content with a placeholder for the version, which is not known yet.
            let trial = packaged(app, &base, image)?;
            let version = match published.pinned() {
                Some(_) => Version::of_work_tree(&base, &digest(&trial.archive)),
                None => Version::of_unbuilt_work_tree(&base),
            };
            let chart = topology.work_trees().chart(&app.unit, &version);
            let pushed = topology
                .push_chart(&packaged(app, &version, image)?, &chart)
                .await?;
            outcome.absorb(pushed.change.into());
            Ok(VersionedChart { chart, version })
        };
        let (artifact, _) = self.0.charts.get(app.unit.as_str(), make).await?;
        Ok(Supplied { artifact, outcome })
    }

    fn gather(&self, apps: Vec<Arc<AppSpec>>) -> Box<dyn Score<T>> {
        Box::new(PublishWorkTreeScore {
            work_tree: self.clone(),
            apps,
        })
    }
}

fn packaged(
    app: &AppSpec,
    version: &Version,
    image: &PinnedImage,
) -> Result<harmony_core::chart::PackagedChart, ArtifactError> {
    let packaged = app_chart::package(app, version, image, 0)?;
    packaged.ok_or_else(|| ArtifactError::NoChart {
        unit: Box::new(app.unit.clone()),
    })
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::sha256_from_bytes(Sha256::digest(bytes).into())
}

fn outcome_of(is_new: bool, change: harmony_core::outcome::Change) -> Outcome {
    if is_new {
        change.into()
    } else {
        Outcome::default()
    }
}

/// Builds and publishes the images and charts of several apps at once, from the current work tree.
///
/// Topologies whose registry contains only releases do not accept work trees: on `CiTopology` this does not compile.
#[derive(Debug, Clone)]
pub struct PublishWorkTreeScore {
    work_tree: WorkTree,
    apps: Vec<Arc<AppSpec>>,
}

impl PublishWorkTreeScore {
    pub fn new(work_tree: WorkTree, apps: Vec<Arc<AppSpec>>) -> Self {
        Self { work_tree, apps }
    }
}

impl<T> Score<T> for PublishWorkTreeScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry + WorkTrees,
{
    fn name(&self) -> String {
        "publish-work-tree".into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for PublishWorkTreeScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry + WorkTrees,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let mut all = Vec::new();
        for app in &self.apps {
            let own = WhichImage::Own;
            let bundled = app.bundled.iter();
            let bundled = bundled.map(|image| WhichImage::Bundled(image.name.clone()));
            all.extend(bundled.chain([own]).map(|which| (app, which)));
        }
        let images = all
            .iter()
            .map(async |(app, which)| self.work_tree.image(app, which, inventory, topology).await);
        let failed = |error| InterpretError::new(Score::<T>::name(self), error);
        let mut outcome = Outcome::default();
        for image in futures_util::future::try_join_all(images)
            .await
            .map_err(failed)?
        {
            outcome.absorb(image.outcome);
        }
        for app in self.apps.iter().filter(|app| app.chart.is_some()) {
            let chart = self.work_tree.chart(app, inventory, topology).await;
            outcome.absorb(chart.map_err(failed)?.outcome);
        }
        Ok(outcome)
    }
}
