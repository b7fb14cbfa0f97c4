//! The whole fleet platform.

use std::collections::BTreeSet;
use std::sync::Arc;

use harmony::core::capability::{ContainerBuilder, KubernetesCluster, OciRegistry, Prober};
use harmony::core::diagnostic::Diagnostic;
use harmony::core::kubernetes::ObjectRef;
use harmony::core::outcome::Subject;
use harmony::core::verify::Verified;
use harmony::scores::nats::NatsStorage;
use harmony::types::{ImageRef, Namespace, ResourceName, Version};
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_reconciler_contracts::{DeviceId, TenantId};
use harmony_release::{AppSpec, publish_image};

use crate::{FleetAgentScore, FleetNatsAuth, FleetNatsScore, FleetOperatorScore, apps};

/// NATS, the operator and, for who wants to see it live, simulated devices: images first, then each component, each
/// verified before the next.
#[derive(Debug, Clone)]
pub struct FleetServerScore {
    /// Where everything runs.
    pub namespace: Namespace,
    /// Whose fleet it is.
    pub tenant: TenantId,
    /// Where NATS keeps the device registry.
    pub storage: NatsStorage,
    /// The devices to simulate, one pod each. Agents of other devices in the namespace are removed, with consent.
    pub devices: Vec<DeviceId>,
    /// What the images are made of.
    pub apps: FleetApps,
    /// A Secret of the namespace with the credentials for the images' registry, when that is private.
    pub pull_secret: Option<ResourceName>,
}

/// What the images of the platform are made of.
#[derive(Debug, Clone)]
pub struct FleetApps {
    /// The operator.
    pub operator: Arc<AppSpec>,
    /// The agent.
    pub agent: Arc<AppSpec>,
    /// The version of both.
    pub version: Version,
    /// The NATS server.
    pub nats: Arc<AppSpec>,
    /// Its version.
    pub nats_version: Version,
}

/// The images of the platform, named by digest as far as they are built.
struct Images {
    nats: ImageRef,
    operator: ImageRef,
    agent: Option<ImageRef>,
}

impl FleetServerScore {
    /// The name of this Score.
    pub const NAME: &str = "fleet-server";

    /// A platform with one simulated device, its images made of the working tree that this program was built from.
    pub fn local(namespace: Namespace) -> Self {
        Self {
            namespace,
            tenant: "default".parse().expect("a valid name"),
            storage: NatsStorage::Pod,
            devices: vec!["device-1".parse().expect("a valid name")],
            pull_secret: None,
            apps: FleetApps {
                operator: Arc::new(apps::operator(apps::workspace())),
                agent: Arc::new(apps::agent(apps::workspace())),
                version: env!("CARGO_PKG_VERSION")
                    .parse()
                    .expect("a version of this workspace"),
                nats: Arc::new(apps::nats()),
                nats_version: apps::NATS_VERSION.parse().expect("a valid version"),
            },
        }
    }

    /// All at once: what is built first goes into a cluster that may still be coming up while the others compile.
    async fn images<T>(
        &self,
        inventory: &Inventory,
        topology: &T,
        outcome: &mut Outcome,
    ) -> Result<Images, InterpretError>
    where
        T: Topology + ContainerBuilder + OciRegistry,
    {
        let publish = async |app: &AppSpec, version: &Version| {
            publish_image(topology, inventory, app, version)
                .await
                .map_err(failed)
        };
        let agent = async {
            if self.devices.is_empty() {
                Ok(None)
            } else {
                publish(&self.apps.agent, &self.apps.version)
                    .await
                    .map(Some)
            }
        };
        let (nats, operator, agent) = tokio::try_join!(
            publish(&self.apps.nats, &self.apps.nats_version),
            publish(&self.apps.operator, &self.apps.version),
            agent
        )?;
        let images = Images {
            nats: nats.image,
            operator: operator.image,
            agent: agent.as_ref().map(|agent| agent.image.clone()),
        };
        outcome.changes.extend([nats.change, operator.change]);
        outcome.changes.extend(agent.map(|agent| agent.change));
        Ok(images)
    }

    fn agent(&self, device: &DeviceId, image: &ImageRef) -> FleetAgentScore {
        let (tenant, namespace) = (self.tenant.clone(), self.namespace.clone());
        FleetAgentScore::pod(device.clone(), tenant, namespace, image.clone())
            .with_pull_secret(self.pull_secret.clone())
    }

    /// The agents of devices that this Score no longer holds, once somebody agreed to their end.
    async fn agreed_removals<T>(&self, topology: &T) -> Result<Vec<ObjectRef>, InterpretError>
    where
        T: Topology + KubernetesCluster,
    {
        let there = topology
            .list(&FleetAgentScore::workloads(&self.namespace))
            .await
            .map_err(failed)?;
        let removed = self.no_longer_held(there);
        let deletions: Vec<Subject> = removed.iter().cloned().map(Subject::from).collect();
        topology
            .context()
            .approve_deletions(&deletions)
            .await
            .map_err(failed)?;
        Ok(removed)
    }

    /// The workloads of agents whose device is not one of this Score's.
    fn no_longer_held(&self, mut workloads: Vec<ObjectRef>) -> Vec<ObjectRef> {
        let held = self.devices.iter().map(FleetAgentScore::workload_of);
        let held: BTreeSet<String> = held.collect();
        workloads.retain(|workload| !held.contains(workload.name.as_str()));
        workloads
    }
}

/// What fails beside the Scores of the components.
fn failed(error: impl Diagnostic) -> InterpretError {
    InterpretError::new(FleetServerScore::NAME, error)
}

impl<T> Score<T> for FleetServerScore
where
    T: Topology + ContainerBuilder + OciRegistry + KubernetesCluster + Prober,
{
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for FleetServerScore
where
    T: Topology + ContainerBuilder + OciRegistry + KubernetesCluster + Prober,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let mut outcome = Outcome::default();
        // Whoever is asked about the removals is asked before anything in the cluster changes.
        let (images, removals) = tokio::try_join!(
            self.images(inventory, topology, &mut outcome),
            self.agreed_removals(topology)
        )?;
        let nats = FleetNatsScore {
            namespace: self.namespace.clone(),
            image: images.nats,
            pull_secret: self.pull_secret.clone(),
            tenant: self.tenant.clone(),
            auth: FleetNatsAuth::UserPassword,
            storage: self.storage.clone(),
        };
        outcome.absorb(Verified::new(nats).interpret(inventory, topology).await?);
        let operator = FleetOperatorScore {
            pull_secret: self.pull_secret.clone(),
            ..FleetOperatorScore::new(self.namespace.clone(), images.operator, self.tenant.clone())
        };
        outcome.absorb(
            Verified::new(operator)
                .interpret(inventory, topology)
                .await?,
        );
        if let Some(image) = &images.agent {
            for device in &self.devices {
                let agent = Verified::new(self.agent(device, image));
                outcome.absorb(agent.interpret(inventory, topology).await?);
            }
        }
        for workload in &removals {
            let removed = topology.delete(workload).await.map_err(failed)?;
            outcome.changes.push(removed);
        }
        let devices: Vec<&str> = self.devices.iter().map(DeviceId::as_str).collect();
        let listed = match devices[..] {
            [] => "no device".to_owned(),
            [one] => format!("device {one}"),
            _ => format!("devices {}", devices.join(", ")),
        };
        Ok(outcome.with_note(format!(
            "namespace {}: NATS, operator, {listed}",
            self.namespace
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_other_devices_are_no_longer_held() {
        let namespace: Namespace = "fleet".parse().unwrap();
        let mut score = FleetServerScore::local(namespace.clone());
        score.devices = vec!["pump-1".parse().unwrap(), "pump-2".parse().unwrap()];
        let workload = |device: &str| ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some(namespace.clone()),
            name: format!("harmony-fleet-agent-{device}").parse().unwrap(),
        };
        let there = ["pump-1", "pump-3"].map(workload).to_vec();
        assert_eq!(score.no_longer_held(there.clone()), [workload("pump-3")]);
        score.devices.clear();
        assert_eq!(score.no_longer_held(there.clone()), there);
    }
}
