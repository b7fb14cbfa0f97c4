//! What an app's binary is about: the apps it releases, and the Scores it runs on whichever topology is asked for.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::{
    ContainerBuilder, ContinuousDelivery, HelmRegistry, KubernetesCluster, OciRegistry, Prober,
    ReleaseRecords,
};
use harmony_core::chart::DeployTarget;
use harmony_core::verify::READY_DEADLINE;
use harmony_core::{Score, Topology};
use harmony_release::{AppSpec, Artifacts, DeployScore};

/// What [`main`](crate::main()) runs.
pub trait Program: Send + Sync + 'static {
    /// What `--release --from-tag` can release.
    fn apps(&self) -> Vec<Arc<AppSpec>>;

    /// What a deploy runs, in order, wherever that is. Images and charts come from `artifacts`: a release, or the work
    /// tree on a topology that takes it.
    fn scores<T: Platform, A: Artifacts<T>>(
        &self,
        site: Site,
        artifacts: &A,
    ) -> Vec<Box<dyn Score<T>>>;
}

/// A topology with every capability that releasing and deploying an app needs. Each of the topologies of this crate is
/// one, and so is one of your own that has them all.
pub trait Platform:
    Topology
    + ContainerBuilder
    + OciRegistry
    + HelmRegistry
    + ReleaseRecords
    + KubernetesCluster
    + Prober
    + ContinuousDelivery
    + 'static
{
}

impl<T> Platform for T where
    T: Topology
        + ContainerBuilder
        + OciRegistry
        + HelmRegistry
        + ReleaseRecords
        + KubernetesCluster
        + Prober
        + ContinuousDelivery
        + 'static
{
}

/// Which kind of place a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// A cluster on this machine, whose services are reached from here.
    ThisMachine,
    /// A cluster that a kubeconfig names.
    Cluster,
    /// A CI job.
    Ci,
}

/// The [`Program`] of one app: it is released by its tag, and deployed to each target in order.
#[derive(Debug, Clone)]
pub struct App {
    spec: Arc<AppSpec>,
    targets: Vec<DeployTarget>,
    ready_deadline: Duration,
}

impl App {
    /// Releases and deploys `app`.
    pub fn of(app: AppSpec) -> Self {
        Self {
            spec: Arc::new(app),
            targets: Vec::new(),
            ready_deadline: READY_DEADLINE,
        }
    }

    /// Deploys to `target`, once it works in the targets before it.
    #[must_use]
    pub fn to(mut self, target: DeployTarget) -> Self {
        self.targets.push(target);
        self
    }

    /// With more or less time to become ready.
    #[must_use]
    pub fn with_ready_deadline(self, ready_deadline: Duration) -> Self {
        Self {
            ready_deadline,
            ..self
        }
    }
}

impl Program for App {
    fn apps(&self) -> Vec<Arc<AppSpec>> {
        vec![Arc::clone(&self.spec)]
    }

    fn scores<T: Platform, A: Artifacts<T>>(
        &self,
        _: Site,
        artifacts: &A,
    ) -> Vec<Box<dyn Score<T>>> {
        let mut scores = vec![artifacts.gather(self.apps())];
        for target in &self.targets {
            let deploy = DeployScore::new(&self.spec, artifacts.clone(), target.clone())
                .with_ready_deadline(self.ready_deadline);
            scores.push(Box::new(deploy));
        }
        scores
    }
}
