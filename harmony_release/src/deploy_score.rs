//! The Score that brings a released chart to where it runs.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use harmony_core::capability::continuous_delivery::Delivered;
use harmony_core::capability::{ContinuousDelivery, Prober};
use harmony_core::chart::DeployTarget;
use harmony_core::verify::{READY_DEADLINE, SmokeCheck, Verifiable, Verified};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{ChartRef, Namespace, Version};

use crate::app_spec::AppSpec;

/// Deploys a released version of an app, and is done when it works: the current revision serves and the app's smoke
/// checks pass. There is no unverified form of it.
#[derive(Debug, Clone)]
pub struct DeployScore {
    /// What to deploy.
    pub app: Arc<AppSpec>,
    /// Which version; it must have been released.
    pub version: Version,
    /// Where to.
    pub target: DeployTarget,
}

impl DeployScore {
    /// Brings the released `version` of `app` to `target`.
    pub fn new(app: &Arc<AppSpec>, version: &Version, target: DeployTarget) -> Self {
        Self {
            app: Arc::clone(app),
            version: version.clone(),
            target,
        }
    }
}

impl<T> Score<T> for DeployScore
where
    T: Topology + ContinuousDelivery + Prober,
{
    fn name(&self) -> String {
        name(self)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        let delivery = Delivery {
            score: self.clone(),
            delivered: Arc::default(),
        };
        Verified::new(delivery).create_interpret()
    }
}

fn name(score: &DeployScore) -> String {
    format!(
        "deploy-{}@{}",
        score.app.unit,
        score.target.target_namespace()
    )
}

/// A [`DeployScore`] before it is verified; private, so that nobody runs it like that.
#[derive(Debug, Clone)]
struct Delivery {
    score: DeployScore,
    /// What this run delivered, and waits for.
    delivered: Arc<OnceLock<Delivered>>,
}

impl Delivery {
    fn chart<T: ContinuousDelivery>(&self, topology: &T) -> ChartRef {
        topology
            .charts()
            .chart(&self.score.app.unit, &self.score.version)
    }
}

impl<T> Score<T> for Delivery
where
    T: Topology + ContinuousDelivery,
{
    fn name(&self) -> String {
        name(&self.score)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for Delivery
where
    T: Topology + ContinuousDelivery,
{
    async fn execute(&self, _: &Inventory, topology: &T) -> Result<Outcome, InterpretError> {
        let chart = self.chart(topology);
        let DeployScore {
            app,
            version,
            target,
        } = &self.score;
        let delivered = topology
            .sync_to(&chart, target)
            .await
            .map_err(|error| InterpretError::new(name(&self.score), error))?;
        let changes = delivered.changes.clone();
        let _ = self.delivered.set(delivered);
        let note = format!("{} {version} in {target}", app.unit);
        Ok(Outcome::from(changes).with_note(note))
    }
}

#[async_trait]
impl<T> Verifiable<T> for Delivery
where
    T: Topology + ContinuousDelivery,
{
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        let Some(delivered) = self.delivered.get() else {
            return Ok(());
        };
        ContinuousDelivery::wait_ready(topology, delivered, READY_DEADLINE)
            .await
            .map_err(|error| InterpretError::new(name(&self.score), error))
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        self.score.app.smoke.clone()
    }

    fn namespace(&self) -> &Namespace {
        self.score.target.target_namespace()
    }
}
