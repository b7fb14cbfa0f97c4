//! The Score that makes an app's work tree deployable on this machine.

use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{ContainerBuilder, HelmRegistry, OciRegistry};
use harmony_core::outcome::{Action, Change};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::Version;

use crate::app_spec::AppSpec;
use crate::chart;
use crate::error::ReleaseError;
use crate::publish::publish_image;

/// Builds an app's image and chart from the work tree as it is and hands them to the topology's stores.
///
/// For the inner loop: no commit is asked for, none is named in the image, and a version may be made again. Use it with
/// a topology whose stores nobody else reads, such as a laptop's, in front of a [`DeployScore`](crate::DeployScore). For
/// everything else there is [`ReleaseScore`](crate::ReleaseScore).
#[derive(Debug, Clone)]
pub struct LocalReleaseScore {
    /// What to build.
    pub app: Arc<AppSpec>,
    /// What to call it.
    pub version: Version,
}

impl LocalReleaseScore {
    /// Builds `app` as it is in the work tree, and calls it `version`.
    pub fn new(app: &Arc<AppSpec>, version: &Version) -> Self {
        Self {
            app: Arc::clone(app),
            version: version.clone(),
        }
    }
}

impl<T> Score<T> for LocalReleaseScore
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
{
    fn name(&self) -> String {
        format!("build-{}", self.app.unit)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for LocalReleaseScore
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

async fn run<T>(
    score: &LocalReleaseScore,
    inventory: &Inventory,
    topology: &T,
) -> Result<Outcome, ReleaseError>
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
{
    let LocalReleaseScore { app, version } = score;
    let registry = topology.registry_url();
    // An error of the chart is found before minutes of building.
    let has_chart = chart::try_out(app, version, registry)?;
    let image = publish_image(topology, inventory, app, version).await?;
    let mut outcome = Outcome::from(image.change.clone());
    if !has_chart {
        return Ok(outcome);
    }
    let to = registry.chart(&app.unit, version);
    let Some(pinned) = image.pinned() else {
        let action = match topology.resolve_chart(&to).await? {
            Some(_) => Action::Update,
            None => Action::Create,
        };
        outcome
            .changes
            .push(Change::new(action, to).with_note("digest known after build"));
        return Ok(outcome);
    };
    if let Some(packaged) = chart::package(app, version, pinned, 0)? {
        outcome
            .changes
            .push(topology.push_chart(&packaged, &to).await?.change);
    }
    Ok(outcome)
}
