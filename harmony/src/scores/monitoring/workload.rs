//! Deploys the objects of the provider that the cluster has.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::kubernetes::ObjectRef;
use harmony_core::outcome::Action;
use harmony_core::owner::Owner;
use harmony_core::verify::{Checks, Deployed, Workload};
use harmony_core::{InterpretError, Inventory, Outcome, Topology, async_trait};
use harmony_types::Namespace;

use super::error::MonitoringError;
use super::proof::{self, Endpoints};
use super::provider::{self, Provider};
use super::receiver::SecretValues;
use super::{MonitoringScore, operator, plain, secrets};

/// What was deployed.
#[derive(Debug)]
pub struct RunningMonitoring {
    objects: Vec<ObjectRef>,
    endpoints: Endpoints,
    secrets: Arc<SecretValues>,
    is_changed: bool,
    /// What prometheus-operator has to accept.
    resources: Vec<ObjectRef>,
}

impl MonitoringScore {
    async fn deployed<T: Topology + KubernetesCluster>(
        &self,
        topology: &T,
    ) -> Result<Deployed<RunningMonitoring>, MonitoringError> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(MonitoringError::Description {
                name: self.name.clone(),
                faults,
            });
        }
        self.check_rules().await?;
        let provider = provider::find(topology, self).await?;
        let is_planning = topology.context().is_planning();
        let (objects, running, endpoints, secrets) = match &provider {
            Provider::Plain => {
                let images = self
                    .images
                    .as_ref()
                    .ok_or_else(|| MonitoringError::NoImages {
                        name: self.name.clone(),
                    })?;
                let secrets =
                    secrets::read(topology, &self.namespace, &self.receivers, is_planning).await?;
                let (objects, running) = plain::build(self, images, &secrets)?;
                (objects, running, plain::endpoints(self)?, secrets)
            }
            Provider::Operator(found) => {
                // The operator reads the Secrets itself, but only tells its log if one is missing.
                let secrets =
                    secrets::read(topology, &self.namespace, &self.receivers, is_planning).await?;
                let objects = operator::build(self, found)?;
                (objects, Vec::new(), operator::endpoints(found)?, secrets)
            }
        };
        let owner = Owner::score(format!("monitoring-{}", self.name), &self.namespace);
        let changes = topology.apply(&owner, &objects).await?;
        let is_changed = changes
            .iter()
            .any(|change| change.action != Action::Unchanged);
        let resources = match &provider {
            Provider::Plain => Vec::new(),
            Provider::Operator(_) => objects
                .iter()
                .map(|object| object.reference().clone())
                .collect(),
        };
        let running = RunningMonitoring {
            objects: running,
            endpoints,
            secrets: Arc::new(secrets),
            is_changed,
            resources,
        };
        let by = match provider {
            Provider::Plain => "its own Prometheus and Alertmanager",
            Provider::Operator(_) => "prometheus-operator",
        };
        let note = format!(
            "{} watches {} in {} with {by}",
            self.name,
            self.targets
                .iter()
                .map(|target| target.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            self.namespace
        );
        Ok(Deployed::new(Outcome::from(changes), running).with_note(note))
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster + Prober> Workload<T> for MonitoringScore {
    type Running = RunningMonitoring;

    fn name(&self) -> String {
        self.display_name()
    }

    async fn deploy(
        &self,
        _: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let deployed = self.deployed(topology).await;
        deployed.map_err(|error| InterpretError::new(self.display_name(), error))
    }

    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        KubernetesCluster::wait_ready(topology, &running.objects, self.deadline)
            .await
            .map_err(|error| InterpretError::new(self.display_name(), error))
    }

    fn checks(&self, running: &Self::Running) -> Checks {
        proof::checks(
            self,
            &running.endpoints,
            &running.secrets,
            running.is_changed,
            &running.resources,
        )
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn smoke_deadline(&self) -> Duration {
        self.check_deadline
    }
}
