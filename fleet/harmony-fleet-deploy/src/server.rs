//! The complete fleet platform.

use std::sync::Arc;

use harmony::core::capability::{ContinuousDelivery, DevicePodman, KubernetesCluster, Prober};
use harmony::core::composite;
use harmony::release::{AppSpec, Artifacts, WhichImage, WithImage, WorkTree};
use harmony::scores::MonitoringScore;
use harmony::scores::monitoring::WithMonitoringImages;
use harmony::scores::nats::NatsStorage;
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, Score, Topology};
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::{
    FleetAgentScore, FleetNatsAuth, FleetNatsScore, FleetOperatorScore, RetireAgentsScore, apps,
};

/// NATS, the operator and, optionally, simulated devices. A composite Score: each part is listed, filtered and planned
/// individually, and verified before the next one starts.
#[derive(Debug, Clone)]
pub struct FleetServerScore<A> {
    pub namespace: Namespace,
    pub tenant: TenantId,
    /// The storage of the device registry.
    pub storage: NatsStorage,
    /// The devices to simulate, one pod each. Agents of other devices in the namespace are deleted, after approval.
    pub devices: Vec<DeviceId>,
    /// Whether simulated devices run containers, where the topology has podman for them.
    pub with_podman: bool,
    /// A Secret in the namespace with the credentials for a private registry.
    pub pull_secret: Option<ResourceName>,
    /// The operator, and its NATS image.
    pub operator: Arc<AppSpec>,
    pub agent: Arc<AppSpec>,
    /// The monitoring of the operator, whose images are [bundled](crate::monitoring::with_images) with it.
    pub monitoring: Option<MonitoringScore>,
    /// The source of images and charts.
    pub artifacts: A,
}

impl FleetServerScore<WorkTree> {
    /// A platform with one simulated device, from the work tree.
    pub fn local(namespace: Namespace) -> Self {
        Self {
            devices: vec!["device-1".parse().expect("a valid name")],
            ..Self::new(namespace, WorkTree::new())
        }
    }
}

impl<A> FleetServerScore<A> {
    pub const NAME: &str = "fleet-server";

    /// A platform without simulated devices, with images and charts from `artifacts`.
    pub fn new(namespace: Namespace, artifacts: A) -> Self {
        Self {
            namespace,
            tenant: "default".parse().expect("a valid name"),
            storage: NatsStorage::Pod,
            devices: Vec::new(),
            with_podman: false,
            pull_secret: None,
            operator: Arc::new(apps::operator()),
            agent: Arc::new(apps::agent()),
            monitoring: None,
            artifacts,
        }
    }

    /// The apps of the parts.
    fn apps(&self) -> Vec<Arc<AppSpec>> {
        let mut apps = vec![Arc::clone(&self.operator)];
        if !self.devices.is_empty() {
            apps.push(Arc::clone(&self.agent));
        }
        apps
    }
}

impl<A: Clone> FleetServerScore<A> {
    fn nats(
        &self,
    ) -> WithImage<A, impl Fn(ImageRef) -> FleetNatsScore + Clone + Send + Sync + use<A>> {
        let (namespace, tenant) = (self.namespace.clone(), self.tenant.clone());
        let (storage, pull_secret) = (self.storage.clone(), self.pull_secret.clone());
        WithImage {
            name: FleetNatsScore::NAME.into(),
            artifacts: self.artifacts.clone(),
            app: Arc::clone(&self.operator),
            which: apps::nats(),
            score: move |image| FleetNatsScore {
                namespace: namespace.clone(),
                image,
                pull_secret: pull_secret.clone(),
                tenant: tenant.clone(),
                auth: FleetNatsAuth::UserPassword,
                storage: storage.clone(),
            },
        }
    }

    fn operator(&self) -> FleetOperatorScore<A> {
        FleetOperatorScore {
            namespace: self.namespace.clone(),
            tenant: self.tenant.clone(),
            pull_secret: self.pull_secret.clone(),
            app: Arc::clone(&self.operator),
            artifacts: self.artifacts.clone(),
        }
    }

    fn agent(
        &self,
        device: &DeviceId,
    ) -> WithImage<A, impl Fn(ImageRef) -> FleetAgentScore + Clone + Send + Sync + use<A>> {
        let (device, tenant) = (device.clone(), self.tenant.clone());
        let (namespace, pull_secret) = (self.namespace.clone(), self.pull_secret.clone());
        let with_podman = self.with_podman;
        WithImage {
            name: FleetAgentScore::workload_of(&device),
            artifacts: self.artifacts.clone(),
            app: Arc::clone(&self.agent),
            which: WhichImage::Own,
            score: move |image| {
                let (device, tenant) = (device.clone(), tenant.clone());
                FleetAgentScore::pod(device, tenant, namespace.clone(), image)
                    .with_podman(with_podman)
                    .with_pull_secret(pull_secret.clone())
            },
        }
    }
}

impl<T, A> Score<T> for FleetServerScore<A>
where
    T: Topology + KubernetesCluster + ContinuousDelivery + Prober + DevicePodman + 'static,
    A: Artifacts<T>,
{
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        composite::in_order(self.parts())
    }

    fn parts(&self) -> Vec<Box<dyn Score<T>>> {
        // Ask about agents to delete before anything else in the cluster changes.
        let retire = RetireAgentsScore {
            namespace: self.namespace.clone(),
            devices: self.devices.clone(),
        };
        let mut parts: Vec<Box<dyn Score<T>>> = vec![
            self.artifacts.gather(self.apps()),
            Box::new(retire),
            Box::new(self.nats()),
            Box::new(self.operator()),
        ];
        for device in &self.devices {
            parts.push(Box::new(self.agent(device)));
        }
        if let Some(score) = &self.monitoring {
            parts.push(Box::new(WithMonitoringImages {
                score: score.clone(),
                app: Arc::clone(&self.operator),
                artifacts: self.artifacts.clone(),
            }));
        }
        parts
    }
}
