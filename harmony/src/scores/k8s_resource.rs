//! Any Kubernetes objects, kept as they are written here.

use std::time::Duration;

use harmony_core::capability::KubernetesCluster;
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::owner::Owner;
use harmony_core::verify::{READY_DEADLINE, SmokeCheck, Verifiable};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_types::Namespace;

/// Applies objects, and knows when they work.
///
/// The base of most Scores that deploy something: they build typed objects and hand them to this one. By itself it
/// applies; wrapped in [`Verified`](harmony_core::verify::Verified) it also waits until the objects are ready and runs
/// the checks.
#[derive(Debug, Clone)]
pub struct K8sResourceScore {
    /// The name of the Score.
    pub name: String,
    /// Where the checks find services. Objects name their own namespace.
    pub namespace: Namespace,
    /// What is applied.
    pub objects: Vec<KubeObject>,
    /// What must hold once the objects are ready.
    pub checks: Vec<SmokeCheck>,
    /// How long the objects may take to become ready.
    pub deadline: Duration,
}

impl K8sResourceScore {
    /// Objects without checks, and with the usual deadline.
    pub fn new(name: impl Into<String>, namespace: Namespace, objects: Vec<KubeObject>) -> Self {
        Self {
            name: name.into(),
            namespace,
            objects,
            checks: Vec::new(),
            deadline: READY_DEADLINE,
        }
    }

    /// With what must hold once the objects are ready.
    #[must_use]
    pub fn with_checks(self, checks: Vec<SmokeCheck>) -> Self {
        Self { checks, ..self }
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for K8sResourceScore {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for K8sResourceScore {
    async fn execute(
        &self,
        _inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let changes = topology
            .apply(&Owner::score(&self.name, &self.namespace), &self.objects)
            .await
            .map_err(|error| InterpretError::new(&self.name, error))?;
        Ok(Outcome::from(changes))
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Verifiable<T> for K8sResourceScore {
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        let objects: Vec<ObjectRef> = self
            .objects
            .iter()
            .map(|object| object.reference().clone())
            .collect();
        KubernetesCluster::wait_ready(topology, &objects, self.deadline)
            .await
            .map_err(|error| InterpretError::new(&self.name, error))
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        self.checks.clone()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
