//! The definition of an app's binary: the apps it releases, and the Scores it runs on the selected topology.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::at_stage::AtStage;
use harmony_core::capability::{
    ContainerBuilder, ContinuousDelivery, DevicePodman, HelmRegistry, KubernetesCluster,
    OciRegistry, Prober, ReleaseRecords, Stages,
};
use harmony_core::chart::{DeployTarget, Stage};
use harmony_core::verify::READY_DEADLINE;
use harmony_core::{Score, Topology};
use harmony_release::{AppSpec, Artifacts, DeployScore};

use crate::scores::MonitoringScore;
use crate::scores::monitoring::{WithMonitoringImages, images};
use crate::scores::storage::Storage;

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
    + DevicePodman
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
        + DevicePodman
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
#[derive(Clone)]
pub struct App {
    spec: Arc<AppSpec>,
    targets: Vec<DeployTarget>,
    monitoring: Option<Arc<Monitoring>>,
    ready_deadline: Duration,
}

/// The monitoring of an app in a target.
type Monitoring = dyn Fn(&AppSpec, &DeployTarget) -> MonitoringScore + Send + Sync;

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("spec", &self.spec)
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl App {
    /// The program that releases and deploys `app`.
    pub fn of(app: AppSpec) -> Self {
        Self {
            spec: Arc::new(app),
            targets: Vec::new(),
            monitoring: None,
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

    /// Adds monitoring, which is deployed to each target after the app. `monitoring` describes it for a target, so that
    /// staging and production can have different receivers. On this machine, metrics are kept in the pod.
    ///
    /// The images of Prometheus and Alertmanager are built and released together with the app, and used where the
    /// cluster has no prometheus-operator.
    #[must_use]
    pub fn monitored(
        self,
        monitoring: impl Fn(&AppSpec, &DeployTarget) -> MonitoringScore + Send + Sync + 'static,
    ) -> Self {
        let mut spec = AppSpec::clone(&self.spec);
        spec.bundled.extend(images::bundled());
        Self {
            spec: Arc::new(spec),
            monitoring: Some(Arc::new(monitoring)),
            ..self
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
        site: Site,
        artifacts: &A,
    ) -> Vec<Box<dyn Score<T>>> {
        let mut scores = vec![artifacts.gather(self.apps())];
        for target in &self.targets {
            let deploy = DeployScore::new(&self.spec, artifacts.clone(), target.clone())
                .with_ready_deadline(self.ready_deadline);
            scores.push(Box::new(AtStage::new(target.stage, deploy)));
            if let Some(monitoring) = &self.monitoring {
                let mut score = monitoring(&self.spec, target);
                if site == Site::ThisMachine {
                    score.storage = Storage::Pod;
                }
                let monitored = WithMonitoringImages {
                    score,
                    app: Arc::clone(&self.spec),
                    artifacts: artifacts.clone(),
                };
                scores.push(Box::new(AtStage::new(target.stage, monitored)));
            }
        }
        scores
    }
}
