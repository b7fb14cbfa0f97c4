//! The Score that publishes the image and the chart of an app, and the record for deploys.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{ContainerBuilder, HelmRegistry, OciRegistry, ReleaseRecords};
use harmony_core::image::ImageSource;
use harmony_core::outcome::{Action, Change};
use harmony_core::{Context, Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{ChartRef, Digest, ReleaseUnit, Version};

use crate::app_chart;
use crate::app_spec::{AppSpec, BundledNameError};
use crate::check::{Request, check};
use crate::crate_version::written_version;
use crate::error::ReleaseError;
use crate::input_key::{self, InputKey, Inputs};
use crate::pinned_image::PinnedImage;
use crate::publish::{self, ImageToPublish, Provenance, PublishedImage};
use crate::record::{Publication, PublishedChart, ReleaseRecord};
use crate::released_before::{self, PublishedRecord};
use crate::source::Source;

/// Releases an app: publishes its images and its chart with one version to the registry of the topology, and finally
/// the record that lists them.
///
/// The version must be that of the crate, and the work tree must be unchanged since its commit. If the version is
/// published and was made from the same inputs, nothing is built, whatever builder made it (see
/// [`input_key`](crate::input_key)). Otherwise the contents are compared: the same content is accepted, different content
/// is refused.
#[derive(Debug, Clone)]
pub struct ReleaseScore {
    pub app: Arc<AppSpec>,
    /// The version to release; `None` for the version in the source.
    pub version: Option<Version>,
    /// The requested tag. If it exists in the repository, its commit must be checked out.
    pub tag: Option<String>,
}

impl ReleaseScore {
    /// Releases `app` with the version in its source.
    pub fn of(app: &Arc<AppSpec>) -> Self {
        Self {
            app: Arc::clone(app),
            version: None,
            tag: None,
        }
    }

    /// Releases this version, which must be the one in the source.
    #[must_use]
    pub fn as_version(self, version: Version) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }
}

impl<T> Score<T> for ReleaseScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry + ReleaseRecords,
{
    fn name(&self) -> String {
        format!("release-{}", self.app.unit)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for ReleaseScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry + ReleaseRecords,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        run(self, inventory, topology)
            .await
            .map_err(|error| InterpretError::new(Score::<T>::name(self), error))
    }
}

/// The steps of a release. Their order guarantees that a chart is not visible before its image, and a record not before
/// everything else.
async fn run<T>(
    score: &ReleaseScore,
    inventory: &Inventory,
    topology: &T,
) -> Result<Outcome, ReleaseError>
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry + ReleaseRecords,
{
    let app = &*score.app;
    let release = check_all(score, topology).await?;
    let key = input_key(app, &release, inventory).await?;
    let published = PublishedRecord::find(app, &release.version, topology).await?;
    if let Some(published) = &published
        && let Some(record) = published
            .with_inputs(key.as_ref(), app, &release.source, topology)
            .await?
    {
        let step = topology.context().step(format!(
            "compare the inputs of {} {}",
            app.unit, release.version
        ));
        step.skipped("it was released before from the same inputs");
        let outcome = released_before::unchanged(app, record, &release.source, topology).await?;
        return Ok(finished(outcome, record, topology.context()));
    }
    let mut outcome = Outcome::default();
    let mut bundled = BTreeMap::new();
    for image in &app.bundled {
        let unit = app.bundled_unit(image)?;
        let published =
            publish_image(app, unit, &image.image, &release, inventory, topology).await?;
        outcome.add(published.change.clone());
        bundled.insert(image.name.clone(), pinned(&published));
        topology.context().check_cancelled()?;
    }
    let image = publish_image(
        app,
        app.unit.clone(),
        &app.image,
        &release,
        inventory,
        topology,
    )
    .await?;
    outcome.add(image.change.clone());
    topology.context().check_cancelled()?;
    let chart = match &release.chart {
        Some(chart) => {
            let (changes, chart) = publish_chart(app, &release, chart, &image, topology).await?;
            for change in changes {
                outcome.add(change);
            }
            Some(chart)
        }
        None => None,
    };
    let publication = Publication {
        image: pinned(&image),
        bundled,
        chart,
    };
    let record = ReleaseRecord::new(
        &app.unit,
        &release.version,
        &release.source,
        publication,
        key,
    );
    publish_record(app, &record, published, &image, topology, outcome).await
}

/// The key of the inputs of all images.
async fn input_key(
    app: &AppSpec,
    release: &Release,
    inventory: &Inventory,
) -> Result<Option<InputKey>, ReleaseError> {
    let provenance = Provenance::released(&release.source, &release.version);
    let bundled = app.bundled.iter();
    let bundled = bundled.map(|image| Ok((app.bundled_unit(image)?, &image.image)));
    let mut images = BTreeMap::new();
    for image in bundled.chain([Ok((app.unit.clone(), &app.image))]) {
        let (unit, source) = image.map_err(|error: BundledNameError| ReleaseError::from(error))?;
        let name = unit.to_string();
        let image = ImageToPublish { unit, app, source };
        images.insert(name, publish::build_context(inventory, &image, &provenance));
    }
    let inputs = Inputs {
        unit: app.unit.clone(),
        version: release.version.clone(),
        source: release.source.clone(),
        images,
    };
    Ok(input_key::of_release(inputs).await)
}

/// What is known before the build.
struct Release {
    version: Version,
    source: Source,
    chart: Option<ChartBefore>,
}

/// The chart to publish, and what is already published under its name.
struct ChartBefore {
    name: ChartRef,
    published: Option<Digest>,
}

async fn check_all<T>(score: &ReleaseScore, topology: &T) -> Result<Release, ReleaseError>
where
    T: Topology + OciRegistry + HelmRegistry,
{
    let app = &*score.app;
    let version = match &score.version {
        Some(version) => version.clone(),
        None => {
            written_version(app)
                .await
                .map_err(ReleaseError::version)?
                .version
        }
    };
    let context = topology.context();
    let step = context.step(format!("check {} {version}", app.unit));
    let request = Request {
        version: &version,
        tag: score.tag.as_deref(),
    };
    let source = check(app, request, context).await?;
    let registry = topology.registry_url();
    let has_chart = app_chart::try_out(app, &version, registry)?;
    // find out before a build that takes minutes that the registry cannot be reached or denies access
    let published_image = topology
        .resolve_image(&registry.image(&app.unit, &version))
        .await?;
    let chart = if has_chart {
        let name = registry.chart(&app.unit, &version);
        let published = topology.resolve_chart(&name).await?;
        Some(ChartBefore { name, published })
    } else {
        None
    };
    context.check_cancelled()?;
    step.done(match published_image {
        Some(_) => format!("{version} is already published; its content will be compared"),
        None => format!("commit {}", source.commit.short()),
    });
    Ok(Release {
        version,
        source,
        chart,
    })
}

async fn publish_image<T>(
    app: &AppSpec,
    unit: ReleaseUnit,
    source: &ImageSource,
    release: &Release,
    inventory: &Inventory,
    topology: &T,
) -> Result<PublishedImage, ReleaseError>
where
    T: Topology + ContainerBuilder + OciRegistry,
{
    let name = topology.registry_url().image(&unit, &release.version);
    let provenance = Provenance::released(&release.source, &release.version);
    let image = ImageToPublish { unit, app, source };
    let built = publish::build(topology, inventory, &image, &name, &provenance).await?;
    Ok(publish::push(topology, &built, &name).await?)
}

/// The image by digest, or a placeholder when planning an image that has not been built yet.
fn pinned(image: &PublishedImage) -> PinnedImage {
    let pinned = image.pinned().cloned();
    pinned.unwrap_or_else(|| PinnedImage::unbuilt(&image.image))
}

async fn publish_chart<T>(
    app: &AppSpec,
    release: &Release,
    chart: &ChartBefore,
    image: &PublishedImage,
    topology: &T,
) -> Result<(Vec<Change>, PublishedChart), ReleaseError>
where
    T: Topology + HelmRegistry,
{
    let packaged = app_chart::package(app, &release.version, &pinned(image), release.source.created)?
        .expect("its trial before the build was a chart, and whether there is one does not depend on the image");
    let archive = packaged.archive_digest.clone();
    if let (None, Some(published)) = (image.pinned(), &chart.published) {
        // The chart refers to the image by digest, so it is not known either.
        let name = chart.name.clone().with_digest(published.clone());
        let change = Change::new(Action::Unchanged, name.clone())
            .with_note("published; its content will be compared after the build");
        return Ok((vec![change], PublishedChart { name, archive }));
    }
    let published = topology.push_chart(&packaged, &chart.name).await?;
    let change = match image.pinned() {
        Some(_) => published.change,
        None => published.change.with_note("known after build"),
    };
    let name = match published.digest {
        Some(digest) if image.pinned().is_some() => chart.name.clone().with_digest(digest),
        _ => chart.name.clone(),
    };
    let mut changes = vec![change];
    if let Some(change) = app_chart::publish_objects(&packaged, &chart.name, topology).await? {
        changes.push(match image.pinned() {
            Some(_) => change,
            None => change.with_note("known after build"),
        });
    }
    Ok((changes, PublishedChart { name, archive }))
}

async fn publish_record<T>(
    app: &AppSpec,
    record: &ReleaseRecord,
    published: Option<PublishedRecord>,
    image: &PublishedImage,
    topology: &T,
    outcome: Outcome,
) -> Result<Outcome, ReleaseError>
where
    T: Topology + ReleaseRecords,
{
    let mut outcome = outcome;
    if image.pinned().is_none() && published.is_some() {
        return Ok(outcome);
    }
    // Another version of this program may have released the same content.
    let (document, record) = match &published {
        Some(published) => published.or_same(record),
        None => (record.to_bytes(), record),
    };
    let pushed = topology
        .push_record(&app.unit, &record.version, &document)
        .await?;
    outcome.add(match image.pinned() {
        Some(_) => pushed.change,
        None => pushed.change.with_note("known after build"),
    });
    Ok(finished(outcome, record, topology.context()))
}

/// Adds what the release consists of, unless it is only planned.
fn finished(outcome: Outcome, record: &ReleaseRecord, context: &Context) -> Outcome {
    if context.is_planning() {
        return outcome;
    }
    let mut outcome = outcome.with_note(format!("image {}", record.image));
    if let Some(chart) = &record.chart {
        outcome = outcome.with_note(format!("chart {chart}"));
    }
    let document = serde_json::to_value(record).expect("a struct of texts and numbers serialises");
    outcome.with_record(document)
}
