//! Argo CD, as far as a delivery needs it.

mod kinds;
mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::owner::Owner;
use harmony_core::verify::{Checks, Deployed, Workload, verified};
use harmony_core::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_types::{ImageRef, Namespace, ResourceName};

use super::K8sResourceScore;
use super::k8s_resource::Applied;

/// Argo CD for [`ArgoDelivery`](harmony_kubernetes::delivery::ArgoDelivery), on a cluster that has none: its controller,
/// its renderer of charts and their cache, in one pod.
///
/// This is Argo CD without its web interface, its API server, logins and notifications: Harmony asks for a sync through the
/// Kubernetes API. The three programs talk over the loopback address of the pod, so that nothing else in the cluster reaches
/// the renderer or the cache. Use Argo CD's own manifests instead if people should see its web interface; the delivery works
/// with both.
///
/// The controller may change everything in the cluster, as that of every Argo CD installation.
#[derive(Debug, Clone)]
pub struct ArgoCdScore {
    /// The namespace; created if it does not exist.
    pub namespace: Namespace,
    /// The image with `argocd-application-controller`, `argocd-repo-server` and `helm`, such as
    /// `quay.io/argoproj/argocd:v3.2.6`.
    pub image: ImageRef,
    /// The image with `redis-server`.
    pub redis: ImageRef,
    /// The Secret with the credentials for a private registry of these images.
    pub pull_secret: Option<ResourceName>,
    /// Certificate authorities of registries of charts, in PEM, by the name of the host without a port. Those of the image
    /// are trusted as well.
    pub authorities: BTreeMap<String, String>,
    /// The time limit for becoming ready.
    pub deadline: Duration,
}

impl ArgoCdScore {
    /// The objects and their readiness.
    fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let objects = objects::build(self).map_err(|error| InterpretError::new(NAME, error))?;
        // The probes of both programs ask whether they work; an Application of its own would prove no more.
        let checks = Checks::readiness_alone();
        let score = K8sResourceScore::new(NAME, self.namespace.clone(), objects, checks);
        Ok(score.with_deadline(self.deadline))
    }
}

const NAME: &str = "argocd";

impl<T: Topology + KubernetesCluster + Prober> Score<T> for ArgoCdScore {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(Installation(self.clone()))
    }
}

#[derive(Debug)]
struct Installation(ArgoCdScore);

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
        let failed = |error| InterpretError::new(NAME, error);
        let Self(score) = self;
        let owner = Owner::score(NAME, &score.namespace);
        let (namespace, settings) =
            objects::first(score).map_err(|error| InterpretError::new(NAME, error))?;
        let mut changes = topology.apply(&owner, &[namespace]).await.map_err(failed)?;
        let (_, created) = topology
            .get_or_create(&owner, &settings)
            .await
            .map_err(failed)?;
        changes.push(created);
        let deployed = Workload::<T>::deploy(&score.resources()?, inventory, topology).await?;
        Ok(deployed.after(changes))
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
