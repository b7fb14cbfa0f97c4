//! Any Kubernetes objects.

use std::time::Duration;

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::owner::Owner;
use harmony_core::verify::{Checks, Deployed, READY_DEADLINE, Workload, verified};
use harmony_core::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_types::Namespace;

/// Applies objects, waits until all of them are ready, and runs the checks.
///
/// The base of most Scores that deploy something: they create typed objects and pass them to this Score.
#[derive(Debug, Clone)]
pub struct K8sResourceScore {
    /// The name of the Score.
    pub name: String,
    /// The namespace of the services in the checks. Objects have their own namespace.
    pub namespace: Namespace,
    /// The objects to apply.
    pub objects: Vec<KubeObject>,
    /// The checks to run when the objects are ready.
    pub checks: Checks,
    /// The time limit for the objects to become ready.
    pub deadline: Duration,
}

impl K8sResourceScore {
    /// The objects and their checks, with the default deadline.
    pub fn new(
        name: impl Into<String>,
        namespace: Namespace,
        objects: Vec<KubeObject>,
        checks: Checks,
    ) -> Self {
        Self {
            name: name.into(),
            namespace,
            objects,
            checks,
            deadline: READY_DEADLINE,
        }
    }

    /// Sets the time limit for becoming ready.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

impl<T: Topology + KubernetesCluster + Prober> Score<T> for K8sResourceScore {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Workload<T> for K8sResourceScore {
    type Running = Applied;

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn deploy(
        &self,
        _: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let changes = topology
            .apply(&Owner::score(&self.name, &self.namespace), &self.objects)
            .await
            .map_err(|error| InterpretError::new(&self.name, error))?;
        let objects = self.objects.iter();
        Ok(Deployed::new(
            changes,
            Applied {
                score: self.name.clone(),
                objects: objects.map(|object| object.reference().clone()).collect(),
                deadline: self.deadline,
            },
        ))
    }

    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        running.wait_ready(topology).await
    }

    fn checks(&self, _: &Self::Running) -> Checks {
        self.checks.clone()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

/// Objects that were applied and have to become ready, for the `wait_ready` of a [`Workload`] that consists of objects.
#[derive(Debug, Clone)]
pub struct Applied {
    score: String,
    objects: Vec<ObjectRef>,
    deadline: Duration,
}

impl Applied {
    /// Waits until the current revision of each object is ready.
    ///
    /// # Errors
    /// See [`KubernetesCluster::wait_ready`].
    pub async fn wait_ready<T: KubernetesCluster>(
        &self,
        topology: &T,
    ) -> Result<(), InterpretError> {
        KubernetesCluster::wait_ready(topology, &self.objects, self.deadline)
            .await
            .map_err(|error| InterpretError::new(&self.score, error))
    }
}
