//! The Scores that publish an app's image and chart.

use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{ContainerBuilder, HelmRegistry, OciRegistry};
use harmony_core::outcome::{Action, Change};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{ChartRef, Digest, Version};

use crate::app_spec::AppSpec;
use crate::chart;
use crate::check::{Request, check};
use crate::error::ReleaseError;
use crate::publish::{PinnedImage, Provenance, publish};
use crate::record::ReleaseRecord;
use crate::source::Source;

/// Releases an app: its image and its chart, both named by `version`, to the topology's registry.
///
/// The version must be the crate's, and the work tree its commit. A version that is there with the same content is
/// accepted, with other content it is refused.
#[derive(Debug, Clone)]
pub struct ReleaseScore {
    /// What to release.
    pub app: Arc<AppSpec>,
    /// As which version.
    pub version: Version,
}

/// A [`ReleaseScore`] that a tag asked for: what `--release --from-tag TAG` runs.
#[derive(Debug, Clone)]
pub struct TaggedReleaseScore {
    /// What to release.
    pub release: ReleaseScore,
    /// The tag; where the repository has it, it must be what is checked out.
    pub tag: Option<String>,
    /// Whether a work tree that differs from its commit may be released.
    pub allow_dirty: bool,
}

impl<T> Score<T> for ReleaseScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
{
    fn name(&self) -> String {
        format!("release-{}", self.app.unit)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(TaggedReleaseScore {
            release: self.clone(),
            tag: None,
            allow_dirty: false,
        })
    }
}

impl<T> Score<T> for TaggedReleaseScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
{
    fn name(&self) -> String {
        Score::<T>::name(&self.release)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for TaggedReleaseScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
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

/// The steps of a release, in the order that keeps a chart from being seen before its image.
async fn run<T>(
    score: &TaggedReleaseScore,
    inventory: &Inventory,
    topology: &T,
) -> Result<Outcome, ReleaseError>
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
{
    let ReleaseScore { app, version } = &score.release;
    let before = check_all(score, topology).await?;
    let provenance = Provenance::from(&before.source);
    let image = publish(topology, inventory, app, version, &provenance).await?;
    topology.context().check_cancelled()?;
    let mut outcome = Outcome::from(image.change.clone());
    let Some(pinned) = image.pinned() else {
        outcome
            .changes
            .extend(before.chart.as_ref().map(plan_without_digest));
        return Ok(outcome);
    };
    let chart = match &before.chart {
        Some(chart) => {
            let (change, chart) =
                publish_chart(&score.release, &before, chart, pinned, topology).await?;
            outcome.changes.push(change);
            Some(chart)
        }
        None => None,
    };
    if topology.context().is_planning() {
        return Ok(outcome);
    }
    Ok(with_record(
        outcome,
        &score.release,
        &before.source,
        pinned,
        chart.as_ref(),
    ))
}

/// What is known before anything is built.
struct Before {
    source: Source,
    chart: Option<ChartBefore>,
}

/// The chart to be published, and what is there under its name.
struct ChartBefore {
    name: ChartRef,
    published: Option<Digest>,
}

/// A chart that is in the registry.
struct PublishedChart {
    name: ChartRef,
    archive: Digest,
}

async fn check_all<T>(score: &TaggedReleaseScore, topology: &T) -> Result<Before, ReleaseError>
where
    T: Topology + OciRegistry + HelmRegistry,
{
    let ReleaseScore { app, version } = &score.release;
    let context = topology.context();
    let step = context.step(format!("check {} {version}", app.unit));
    let request = Request {
        version,
        tag: score.tag.as_deref(),
        allow_dirty: score.allow_dirty,
    };
    let source = check(app, request, context).await?;
    let registry = topology.registry_url();
    let has_chart = chart::try_out(app, version, registry)?;
    // a registry that cannot be reached or does not let us in is found out before minutes of building
    let image = registry.image(&app.unit, version);
    let published_image = topology.resolve_image(&image).await?;
    let chart = if has_chart {
        let name = registry.chart(&app.unit, version);
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
    Ok(Before { source, chart })
}

async fn publish_chart<T>(
    release: &ReleaseScore,
    before: &Before,
    chart: &ChartBefore,
    image: &PinnedImage,
    topology: &T,
) -> Result<(Change, PublishedChart), ReleaseError>
where
    T: Topology + HelmRegistry,
{
    let ReleaseScore { app, version } = release;
    let packaged = chart::package(app, version, image, before.source.created)?
        .expect("its trial before the build was a chart, and whether there is one does not depend on the image");
    let published = topology.push_chart(&packaged, &chart.name).await?;
    let name = match published.digest {
        Some(digest) => chart.name.clone().with_digest(digest),
        None => chart.name.clone(),
    };
    let chart = PublishedChart {
        name,
        archive: packaged.archive_digest,
    };
    Ok((published.change, chart))
}

fn with_record(
    outcome: Outcome,
    release: &ReleaseScore,
    source: &Source,
    image: &PinnedImage,
    chart: Option<&PublishedChart>,
) -> Outcome {
    let mut outcome = outcome.with_note(format!("image {}", image.reference()));
    if let Some(chart) = chart {
        outcome = outcome.with_note(format!("chart {}", chart.name));
    }
    let record = ReleaseRecord::new(
        &release.app.unit,
        &release.version,
        source,
        image,
        chart.map(|chart| (&chart.name, &chart.archive)),
    );
    match serde_json::to_value(&record) {
        Ok(record) => outcome.with_record(record),
        // a struct of texts and numbers always serialises; without it the release is no less done
        Err(_) => outcome,
    }
}

/// The chart names the image by digest, so it is as little known as the image.
fn plan_without_digest(chart: &ChartBefore) -> Change {
    match &chart.published {
        None => Change::new(Action::Create, chart.name.clone()).with_note("known after build"),
        Some(digest) => Change::new(
            Action::Unchanged,
            chart.name.clone().with_digest(digest.clone()),
        )
        .with_note("published; its content is compared after build"),
    }
}
