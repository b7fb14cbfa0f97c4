//! The Score that deploys an app.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::continuous_delivery::Delivered;
use harmony_core::capability::{ContinuousDelivery, Prober};
use harmony_core::chart::{DeployTarget, Stage};
use harmony_core::verify::{Checks, Deployed, READY_DEADLINE, SMOKE_DEADLINE, Workload, verified};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::{Namespace, Version};

use crate::app_spec::AppSpec;
use crate::artifacts::{Artifacts, Released, VersionChoice};

/// Deploys the chart of an app. Succeeds when the current revision is ready and the app's smoke checks pass; there is
/// no unverified form.
///
/// `A` is the source of the chart: a release ([`Released`]) or the work tree ([`WorkTree`](crate::WorkTree)).
#[derive(Debug, Clone)]
pub struct DeployScore<A = Released> {
    pub app: Arc<AppSpec>,
    /// The source of the image and the chart.
    pub artifacts: A,
    pub target: DeployTarget,
    /// The time limit for becoming ready. Waiting for readiness is the longest wait of a deploy.
    pub ready_deadline: Duration,
    /// The time limit for each smoke check.
    pub smoke_deadline: Duration,
}

impl DeployScore<Released> {
    /// Deploys the version in the source of `app`, which must have been released, to `target`. Use it after a
    /// [`ReleaseScore`](crate::ReleaseScore) in a pipeline.
    pub fn of(app: &Arc<AppSpec>, target: DeployTarget) -> Self {
        Self::new(app, Released::new(VersionChoice::OfSource), target)
    }

    /// Deploys the released `version` of `app` to `target`.
    pub fn version(app: &Arc<AppSpec>, version: Version, target: DeployTarget) -> Self {
        Self::new(app, Released::exact(version), target)
    }
}

impl<A> DeployScore<A> {
    /// Deploys `app` from `artifacts` to `target`, with the default deadlines.
    pub fn new(app: &Arc<AppSpec>, artifacts: A, target: DeployTarget) -> Self {
        Self {
            app: Arc::clone(app),
            artifacts,
            target,
            ready_deadline: READY_DEADLINE,
            smoke_deadline: SMOKE_DEADLINE,
        }
    }

    /// Sets the time limit for becoming ready.
    #[must_use]
    pub fn with_ready_deadline(self, ready_deadline: Duration) -> Self {
        Self {
            ready_deadline,
            ..self
        }
    }

    /// Sets the time limit for each smoke check.
    #[must_use]
    pub fn with_smoke_deadline(self, smoke_deadline: Duration) -> Self {
        Self {
            smoke_deadline,
            ..self
        }
    }

    fn display_name(&self) -> String {
        let DeployTarget {
            stage, namespace, ..
        } = &self.target;
        match stage {
            Stage::Only => format!("deploy-{}@{namespace}", self.app.unit),
            stage => format!("deploy-{}@{stage}", self.app.unit),
        }
    }
}

impl<T, A> Score<T> for DeployScore<A>
where
    T: Topology + ContinuousDelivery + Prober,
    A: Artifacts<T>,
{
    fn name(&self) -> String {
        self.display_name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(Delivery(self.clone()))
    }
}

/// The workload of a [`DeployScore`].
#[derive(Debug)]
struct Delivery<A>(DeployScore<A>);

#[async_trait]
impl<T, A> Workload<T> for Delivery<A>
where
    T: Topology + ContinuousDelivery,
    A: Artifacts<T>,
{
    type Running = Delivered;

    fn name(&self) -> String {
        self.0.display_name()
    }

    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let DeployScore {
            app,
            artifacts,
            target,
            ..
        } = &self.0;
        let name = self.0.display_name();
        let supplied = artifacts
            .chart(app, inventory, topology)
            .await
            .map_err(|error| InterpretError::new(&name, error))?;
        let delivered = topology
            .sync_to(&supplied.artifact.chart, target)
            .await
            .map_err(|error| InterpretError::new(&name, error))?;
        let outcome = Outcome::from(delivered.changes.clone());
        let note = format!("{} {} in {target}", app.unit, supplied.artifact.version);
        Ok(Deployed::new(outcome, delivered)
            .after(supplied.outcome)
            .with_note(note))
    }

    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        ContinuousDelivery::wait_ready(topology, running, self.0.ready_deadline)
            .await
            .map_err(|error| InterpretError::new(self.0.display_name(), error))
    }

    fn checks(&self, _: &Self::Running) -> Checks {
        self.0.app.smoke.clone()
    }

    fn namespace(&self) -> &Namespace {
        self.0.target.target_namespace()
    }

    fn smoke_deadline(&self) -> Duration {
        self.0.smoke_deadline
    }
}
