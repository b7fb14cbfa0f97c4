//! The fleet agent of a device.

mod objects;
mod ping;
mod retire;

use std::path::Path;
use std::sync::Arc;

use harmony::core::capability::{DevicePodman, KubernetesCluster, Prober};
use harmony::core::kubernetes::ObjectQuery;
use harmony::core::verify::{Checks, Deployed, SmokeCheck, Workload, verified};
use harmony::scores::K8sResourceScore;
use harmony::scores::k8s_resource::Applied;
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_reconciler_contracts::{DeviceId, TenantId};

pub use ping::AgentAnswersPing;
pub use retire::RetireAgentsScore;

use crate::access::ToolsAccess;
use crate::place;

/// Runs the agent of a device.
#[derive(Debug, Clone)]
pub struct FleetAgentScore {
    /// The device id.
    pub device: DeviceId,
    /// The tenant of the device.
    pub tenant: TenantId,
    /// The address of NATS for the agent.
    pub nats_url: String,
    pub target: FleetAgentTarget,
}

/// Where an agent runs. A separate machine, set up over SSH, will be a second variant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FleetAgentTarget {
    /// A pod: a simulated device, for laptops and tests.
    Pod {
        namespace: Namespace,
        image: ImageRef,
        /// The credentials for a private registry.
        pull_secret: Option<ResourceName>,
        /// Whether it runs containers, if the topology has podman for it.
        with_podman: bool,
    },
}

impl FleetAgentScore {
    /// A simulated device beside the NATS of the same namespace.
    pub fn pod(device: DeviceId, tenant: TenantId, namespace: Namespace, image: ImageRef) -> Self {
        let nats_url = place::nats_url(&namespace);
        Self {
            device,
            tenant,
            nats_url,
            target: FleetAgentTarget::Pod {
                namespace,
                image,
                pull_secret: None,
                with_podman: false,
            },
        }
    }

    /// Sets the credentials for a private registry.
    #[must_use]
    pub fn with_pull_secret(mut self, secret: Option<ResourceName>) -> Self {
        let FleetAgentTarget::Pod { pull_secret, .. } = &mut self.target;
        *pull_secret = secret;
        self
    }

    /// Whether the device runs containers, if the topology has podman for it.
    #[must_use]
    pub fn with_podman(mut self, yes: bool) -> Self {
        let FleetAgentTarget::Pod { with_podman, .. } = &mut self.target;
        *with_podman = yes;
        self
    }

    /// The name of the podman of a simulated device.
    pub fn podman_of(namespace: &Namespace, device: &DeviceId) -> ResourceName {
        // Neither part has a dot.
        let name = format!("{namespace}.{device}");
        name.parse().expect("both are valid parts of a name")
    }

    /// The Deployments of all agents in a namespace.
    pub fn workloads(namespace: &Namespace) -> ObjectQuery {
        ObjectQuery {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some(namespace.clone()),
            labels: place::labels(place::AGENT),
        }
    }

    /// The name of the Deployment of a device's agent.
    pub fn workload_of(device: &DeviceId) -> String {
        format!("{}-{device}", place::AGENT)
    }

    /// The name of its Deployment and of this Score.
    pub fn workload(&self) -> String {
        Self::workload_of(&self.device)
    }

    fn resources(&self, podman: Option<&Path>) -> Result<K8sResourceScore, InterpretError> {
        let FleetAgentTarget::Pod { namespace, .. } = &self.target;
        let name = self.workload();
        let objects =
            objects::build(self, podman).map_err(|error| InterpretError::new(&name, error))?;
        // This Score runs the other checks itself.
        let checks = Checks::readiness_alone();
        Ok(K8sResourceScore::new(
            name,
            namespace.clone(),
            objects,
            checks,
        ))
    }
}

impl<T: Topology + KubernetesCluster + Prober + DevicePodman> Score<T> for FleetAgentScore {
    fn name(&self) -> String {
        self.workload()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(self.clone())
    }
}

/// A deployed agent, and how to reach it.
#[derive(Debug)]
pub struct RunningAgent {
    applied: Applied,
    answers: AgentAnswersPing,
}

#[async_trait]
impl<T: Topology + KubernetesCluster + DevicePodman> Workload<T> for FleetAgentScore {
    type Running = RunningAgent;

    fn name(&self) -> String {
        self.workload()
    }

    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let FleetAgentTarget::Pod {
            namespace,
            with_podman,
            ..
        } = &self.target;
        let access = ToolsAccess::read(topology, namespace)
            .await
            .map_err(|error| InterpretError::new(self.workload(), error))?;
        let answers = AgentAnswersPing {
            device: self.device.clone(),
            tenant: self.tenant.clone(),
            access,
        };
        let podman = if *with_podman {
            let name = Self::podman_of(namespace, &self.device);
            let socket = topology.podman_socket(&name).await;
            socket.map_err(|error| InterpretError::new(self.workload(), error))?
        } else {
            None
        };
        let resources = self.resources(podman.as_deref())?;
        let deployed = resources.deploy(inventory, topology).await?;
        Ok(deployed.map(|applied| RunningAgent { applied, answers }))
    }

    /// A pod is ready when its agent is registered and sends heartbeats.
    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        running.applied.wait_ready(topology).await
    }

    fn checks(&self, running: &Self::Running) -> Checks {
        Checks::first(SmokeCheck::Custom(Arc::new(running.answers.clone())))
    }

    fn namespace(&self) -> &Namespace {
        let FleetAgentTarget::Pod { namespace, .. } = &self.target;
        namespace
    }
}
