//! The fleet agent: one device.

mod objects;

use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::ObjectQuery;
use harmony::core::verify::{SmokeCheck, Verifiable};
use harmony::scores::K8sResourceScore;
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::FleetNatsScore;

/// Runs the agent of one device.
#[derive(Debug, Clone)]
pub struct FleetAgentScore {
    /// The device's name in the fleet.
    pub device: DeviceId,
    /// Whose fleet it belongs to.
    pub tenant: TenantId,
    /// Where NATS listens, as the agent sees it.
    pub nats_url: String,
    /// Where the agent runs.
    pub target: FleetAgentTarget,
}

/// Where an agent runs. A machine of its own, set up over SSH, will be a second variant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FleetAgentTarget {
    /// A pod: a simulated device, for laptops and tests.
    Pod {
        /// Where it runs.
        namespace: Namespace,
        /// The agent's image.
        image: ImageRef,
        /// The credentials for the image's registry, when it is private.
        pull_secret: Option<ResourceName>,
    },
}

impl FleetAgentScore {
    /// A simulated device beside a [`FleetNatsScore`] in the same namespace.
    pub fn pod(device: DeviceId, tenant: TenantId, namespace: Namespace, image: ImageRef) -> Self {
        let nats_url = FleetNatsScore::url(&namespace);
        Self {
            device,
            tenant,
            nats_url,
            target: FleetAgentTarget::Pod {
                namespace,
                image,
                pull_secret: None,
            },
        }
    }

    /// With the credentials for the image's registry, when that is private.
    #[must_use]
    pub fn with_pull_secret(mut self, secret: Option<ResourceName>) -> Self {
        let FleetAgentTarget::Pod { pull_secret, .. } = &mut self.target;
        *pull_secret = secret;
        self
    }

    /// The Deployments of all agents in a namespace.
    pub fn workloads(namespace: &Namespace) -> ObjectQuery {
        ObjectQuery {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some(namespace.clone()),
            labels: objects::every_agent(),
        }
    }

    /// The name of the Deployment of a device's agent.
    pub fn workload_of(device: &DeviceId) -> String {
        format!("harmony-fleet-agent-{device}")
    }

    /// The name of its Deployment and of this Score.
    pub fn workload(&self) -> String {
        Self::workload_of(&self.device)
    }

    fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let FleetAgentTarget::Pod { namespace, .. } = &self.target;
        let name = self.workload();
        let objects = objects::build(self).map_err(|error| InterpretError::new(&name, error))?;
        Ok(K8sResourceScore::new(name, namespace.clone(), objects))
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for FleetAgentScore {
    fn name(&self) -> String {
        self.workload()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for FleetAgentScore {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        self.resources()?.execute(inventory, topology).await
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Verifiable<T> for FleetAgentScore {
    /// A pod is ready when its agent is registered and its heartbeats go out.
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        Verifiable::wait_ready(&self.resources()?, topology).await
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        Vec::new()
    }

    fn namespace(&self) -> &Namespace {
        let FleetAgentTarget::Pod { namespace, .. } = &self.target;
        namespace
    }
}
