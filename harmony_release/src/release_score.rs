//! The Score that publishes an app's image and chart, and the record that deploys go by.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{ContainerBuilder, HelmRegistry, OciRegistry, ReleaseRecords};
use harmony_core::image::ImageSource;
use harmony_core::outcome::{Action, Change};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{ChartRef, Digest, ReleaseUnit, Version};

use crate::app_chart;
use crate::app_spec::AppSpec;
use crate::check::{Request, check};
use crate::crate_version::written_version;
use crate::error::ReleaseError;
use crate::pinned_image::PinnedImage;
use crate::publish::{self, ImageToPublish, Provenance, PublishedImage};
use crate::record::{Publication, PublishedChart, ReleaseRecord};
use crate::source::Source;

/// Releases an app: its images and its chart, named by one version, to the topology's registry, and last the record
/// that says what belongs together.
///
/// The version must be the crate's, and the work tree exactly its commit. A version that is there with the same content
/// is accepted, with other content it is refused.
#[derive(Debug, Clone)]
pub struct ReleaseScore {
    /// What to release.
    pub app: Arc<AppSpec>,
    /// As which version; `None` for the one that is written in the source.
    pub version: Option<Version>,
    /// The tag that asked for it; where the repository has it, it must be what is checked out.
    pub tag: Option<String>,
}

impl ReleaseScore {
    /// Releases `app` as the version that is written in its source.
    pub fn of(app: &Arc<AppSpec>) -> Self {
        Self {
            app: Arc::clone(app),
            version: None,
            tag: None,
        }
    }

    /// As that version, which must be the one in the source.
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

/// The steps of a release, in the order that keeps a chart from being seen before its image, and a record before either.
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
            let (change, chart) = publish_chart(app, &release, chart, &image, topology).await?;
            outcome.add(change);
            Some(chart)
        }
        None => None,
    };
    let publication = Publication {
        image: pinned(&image),
        bundled,
        chart,
    };
    publish_record(app, &release, publication, &image, topology, outcome).await
}

/// What is known before anything is built.
struct Release {
    version: Version,
    source: Source,
    chart: Option<ChartBefore>,
}

/// The chart to be published, and what is there under its name.
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
    // a registry that cannot be reached or does not let us in is found out before minutes of building
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
        Some(_) => format!("{version} is published: its content is compared"),
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

/// The image by digest; when planning what is not built yet, one that stands for it.
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
) -> Result<(Change, PublishedChart), ReleaseError>
where
    T: Topology + HelmRegistry,
{
    let packaged = app_chart::package(app, &release.version, &pinned(image), release.source.created)?
        .expect("its trial before the build was a chart, and whether there is one does not depend on the image");
    let archive = packaged.archive_digest.clone();
    if let (None, Some(published)) = (image.pinned(), &chart.published) {
        // The chart names the image by digest, so it is as little known as the image.
        let name = chart.name.clone().with_digest(published.clone());
        let change = Change::new(Action::Unchanged, name.clone())
            .with_note("published; its content is compared after build");
        return Ok((change, PublishedChart { name, archive }));
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
    Ok((change, PublishedChart { name, archive }))
}

async fn publish_record<T>(
    app: &AppSpec,
    release: &Release,
    publication: Publication,
    image: &PublishedImage,
    topology: &T,
    outcome: Outcome,
) -> Result<Outcome, ReleaseError>
where
    T: Topology + ReleaseRecords,
{
    let mut outcome = outcome;
    let record = ReleaseRecord::new(&app.unit, &release.version, &release.source, publication);
    let is_published = topology
        .read_record(&app.unit, &release.version)
        .await?
        .is_some();
    if image.pinned().is_none() && is_published {
        return Ok(outcome);
    }
    let published = topology
        .push_record(&app.unit, &release.version, &record.to_bytes())
        .await?;
    outcome.add(match image.pinned() {
        Some(_) => published.change,
        None => published.change.with_note("known after build"),
    });
    if topology.context().is_planning() {
        return Ok(outcome);
    }
    let mut outcome = outcome.with_note(format!("image {}", record.image));
    if let Some(chart) = &record.chart {
        outcome = outcome.with_note(format!("chart {chart}"));
    }
    let document = serde_json::to_value(&record).expect("a struct of texts and numbers serialises");
    Ok(outcome.with_record(document))
}
