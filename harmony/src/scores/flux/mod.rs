//! Flux, as far as a delivery needs it.

mod kinds;
mod objects;

use std::time::Duration;

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::verify::{Checks, Deployed, Workload, verified};
use harmony_core::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_kubernetes::delivery::FluxController;
use harmony_types::{ImageRef, LabelValue, Namespace, ResourceName};

use super::K8sResourceScore;
use super::k8s_resource::Applied;

/// Flux for [`FluxDelivery`](harmony_kubernetes::delivery::FluxDelivery), on a cluster that has none: its source-controller
/// and its helm-controller or kustomize-controller, in one pod.
///
/// The other controller fetches charts and objects from the source-controller over the loopback address of the pod, so that nothing else in
/// the cluster reaches them. Use Flux's own command instead if the cluster should also follow Git repositories; the delivery
/// works with both.
///
/// The controllers may change everything in the cluster, as those of every Flux installation.
#[derive(Debug, Clone)]
pub struct FluxScore {
    /// The namespace; created if it does not exist.
    pub namespace: Namespace,
    /// The image with `source-controller`, such as `ghcr.io/fluxcd/source-controller:v1.7.3`.
    pub source_controller: ImageRef,
    /// The controller that applies.
    pub controller: FluxController,
    /// The image with this controller, such as `ghcr.io/fluxcd/helm-controller:v1.4.3` or
    /// `ghcr.io/fluxcd/kustomize-controller:v1.7.3`.
    pub controller_image: ImageRef,
    /// The Secret with the credentials for a private registry of these images.
    pub pull_secret: Option<ResourceName>,
    /// The shard: the controllers look only at objects with this value of the label `sharding.fluxcd.io/key`, so that
    /// several installations can share a cluster. Without one, they look at all objects without this label.
    pub shard: Option<LabelValue>,
    /// The time limit for becoming ready.
    pub deadline: Duration,
}

impl FluxScore {
    /// The objects and their readiness.
    fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let objects = objects::build(self).map_err(|error| InterpretError::new(NAME, error))?;
        // The probes of both programs ask whether they work; a release of its own would prove no more.
        let checks = Checks::readiness_alone();
        let score = K8sResourceScore::new(NAME, self.namespace.clone(), objects, checks);
        Ok(score.with_deadline(self.deadline))
    }
}

const NAME: &str = "flux";

impl<T: Topology + KubernetesCluster + Prober> Score<T> for FluxScore {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(Installation(self.clone()))
    }
}

#[derive(Debug)]
struct Installation(FluxScore);

#[async_trait]
impl<T: Topology + KubernetesCluster> Workload<T> for Installation {
    type Running = Applied;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Applied>, InterpretError> {
        Workload::<T>::deploy(&self.0.resources()?, inventory, topology).await
    }

    async fn wait_ready(&self, topology: &T, running: &Applied) -> Result<(), InterpretError> {
        running.wait_ready(topology).await
    }

    fn checks(&self, _: &Applied) -> Checks {
        Checks::readiness_alone()
    }

    fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }
}
