//! The definition of an app's binary: the apps it releases, and the Scores it runs on the selected topology.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::at_stage::AtStage;
use harmony_core::capability::{
    ContainerBuilder, ContinuousDelivery, HelmRegistry, KubernetesCluster, OciRegistry, Prober,
    ReleaseRecords, Stages,
};
use harmony_core::chart::{DeployTarget, Stage};
use harmony_core::verify::READY_DEADLINE;
use harmony_core::{Score, Topology};
use harmony_release::{AppSpec, Artifacts, DeployScore};

/// The argument of [`main`](crate::main()).
pub trait Program: Send + Sync + 'static {
    /// The apps that `--release --from-tag` can release.
    fn apps(&self) -> Vec<Arc<AppSpec>>;

    /// What a deploy goes to. `doctor` examines their clusters, and `--stage` selects some of them. Empty if the program
    /// does not tell.
    fn targets(&self) -> Vec<DeployTarget> {
        Vec::new()
    }

    /// The same program with the targets of one of its stages only.
    #[must_use]
    fn at_stage(self, stage: Stage) -> Self
    where
        Self: Sized,
    {
        let _ = stage;
        self
    }

    /// The Scores that a deploy runs, in order, on any topology. Images and charts come from `artifacts`: a release, or
    /// the work tree if the topology accepts it.
    fn scores<T: Platform, A: Artifacts<T>>(
        &self,
        site: Site,
        artifacts: &A,
    ) -> Vec<Box<dyn Score<T>>>;
}

/// A topology with every capability that is needed to release and deploy an app. All topologies of this crate implement
/// it, and so does every custom topology with these capabilities.
pub trait Platform:
    Topology
    + ContainerBuilder
    + OciRegistry
    + HelmRegistry
    + ReleaseRecords
    + KubernetesCluster
    + Prober
    + ContinuousDelivery
    + Stages
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
        + Stages
        + 'static
{
}

/// The kind of place that a run deploys to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// A cluster on this machine, whose Services can be reached from here.
    ThisMachine,
    /// The cluster of a kubeconfig.
    Cluster,
    /// A CI job.
    Ci,
    /// The clusters of a configuration.
    Production,
}

/// The [`Program`] of a single app, which is released by its tag and deployed to each target in order.
#[derive(Debug, Clone)]
pub struct App {
    spec: Arc<AppSpec>,
    targets: Vec<DeployTarget>,
    ready_deadline: Duration,
}

impl App {
    /// The program that releases and deploys `app`.
    pub fn of(app: AppSpec) -> Self {
        Self {
            spec: Arc::new(app),
            targets: Vec::new(),
            ready_deadline: READY_DEADLINE,
        }
    }

    /// Adds a target. It is deployed after the app works in all earlier targets, to the cluster that the topology has for
    /// its stage.
    #[must_use]
    pub fn to(mut self, target: DeployTarget) -> Self {
        self.targets.push(target);
        self
    }

    /// Sets the time limit for becoming ready.
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

    fn targets(&self) -> Vec<DeployTarget> {
        self.targets.clone()
    }

    fn at_stage(mut self, stage: Stage) -> Self {
        self.targets.retain(|target| target.stage == stage);
        self
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
            scores.push(Box::new(AtStage::new(target.stage, deploy)));
        }
        scores
    }
}
