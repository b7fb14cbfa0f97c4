//! Deletes the agents of devices that are no longer part of the fleet's Score.

use std::collections::BTreeSet;

use harmony::core::capability::KubernetesCluster;
use harmony::core::diagnostic::Diagnostic;
use harmony::core::kubernetes::ObjectRef;
use harmony::core::outcome::Subject;
use harmony::types::Namespace;
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_reconciler_contracts::DeviceId;

use super::FleetAgentScore;

/// Deletes the agents of all devices in a namespace except for these, after approval. Each agent is a separate Score,
/// so none of them knows the others.
#[derive(Debug, Clone)]
pub struct RetireAgentsScore {
    pub namespace: Namespace,
    /// The devices to keep.
    pub devices: Vec<DeviceId>,
}

impl RetireAgentsScore {
    pub const NAME: &str = "retire-agents";

    /// The workloads of agents whose device is not kept.
    fn leaving(&self, mut workloads: Vec<ObjectRef>) -> Vec<ObjectRef> {
        let staying = self.devices.iter().map(FleetAgentScore::workload_of);
        let staying: BTreeSet<String> = staying.collect();
        workloads.retain(|workload| !staying.contains(workload.name.as_str()));
        workloads
    }
}

fn failed(error: impl Diagnostic) -> InterpretError {
    InterpretError::new(RetireAgentsScore::NAME, error)
}

impl<T: Topology + KubernetesCluster> Score<T> for RetireAgentsScore {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for RetireAgentsScore {
    async fn execute(&self, _: &Inventory, topology: &T) -> Result<Outcome, InterpretError> {
        let query = FleetAgentScore::workloads(&self.namespace);
        let leaving = self.leaving(topology.list(&query).await.map_err(failed)?);
        let deletions: Vec<Subject> = leaving.iter().cloned().map(Subject::from).collect();
        let consent = topology.context().approve_deletions(&deletions).await;
        consent.map_err(failed)?;
        let mut outcome = Outcome::default();
        for workload in &leaving {
            outcome.add(topology.delete(workload).await.map_err(failed)?);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_other_devices_leave() {
        let namespace: Namespace = "fleet".parse().unwrap();
        let mut score = RetireAgentsScore {
            namespace: namespace.clone(),
            devices: vec!["pump-1".parse().unwrap(), "pump-2".parse().unwrap()],
        };
        let workload = |device: &str| ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some(namespace.clone()),
            name: format!("harmony-fleet-agent-{device}").parse().unwrap(),
        };
        let found = ["pump-1", "pump-3"].map(workload).to_vec();
        assert_eq!(score.leaving(found.clone()), [workload("pump-3")]);
        score.devices.clear();
        assert_eq!(score.leaving(found.clone()), found);
    }
}
