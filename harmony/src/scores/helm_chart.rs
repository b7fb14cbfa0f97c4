//! Third-party charts.

use std::time::Duration;

use harmony_charts::Hook;
use harmony_charts::helm::{HelmChart, HelmSource, inflate};
use harmony_core::capability::continuous_delivery::Followup;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::owner::Owner;
use harmony_core::verify::{Checks, Deployed, READY_DEADLINE, Workload, verified};
use harmony_core::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_kubernetes::hooks::Hooks;
use harmony_types::{Namespace, ResourceName};
use serde_json::Value;

use super::K8sResourceScore;
use super::k8s_resource::Applied;

/// Renders a chart with the `helm` binary, and applies its objects like those of our own Scores: they are planned,
/// awaited and checked, and `helm` never accesses the cluster. Hooks run before and after that, tests at the end.
///
/// The binary is the one in `HARMONY_HELM`, or the first `helm` on `PATH`.
#[derive(Debug, Clone)]
pub struct HelmChartScore {
    /// The name of the Helm release and of this Score.
    pub name: ResourceName,
    /// The namespace of the objects; created if it does not exist.
    pub namespace: Namespace,
    /// The chart, always with a version.
    pub source: HelmSource,
    /// A mapping that is merged with the values of the chart.
    pub values: Value,
    /// The checks to run when the objects are ready.
    pub checks: Checks,
    /// The time limit for the objects to become ready.
    pub deadline: Duration,
}

impl HelmChartScore {
    /// Uses the default values of the chart. `checks` verify that it works.
    pub fn new(
        name: ResourceName,
        namespace: Namespace,
        source: HelmSource,
        checks: Checks,
    ) -> Self {
        Self {
            name,
            namespace,
            source,
            values: Value::Null,
            checks,
            deadline: READY_DEADLINE,
        }
    }

    async fn resources<T: Topology + KubernetesCluster>(
        &self,
        topology: &T,
    ) -> Result<(K8sResourceScore, Vec<Hook>), InterpretError> {
        let chart = HelmChart {
            release: self.name.to_string(),
            source: self.source.clone(),
            values: self.values.clone(),
            namespace: self.namespace.clone(),
        };
        let name = self.name.to_string();
        let known = topology
            .capabilities()
            .await
            .map_err(|error| InterpretError::new(&name, error))?;
        let rendered = inflate(topology.context(), &chart, known.as_ref())
            .await
            .map_err(|error| InterpretError::new(&name, error))?;
        let namespace = self.namespace.clone();
        let score = K8sResourceScore::new(name, namespace, rendered.objects, self.checks.clone());
        Ok((score.with_deadline(self.deadline), rendered.hooks))
    }

    fn failed(&self, error: ClusterError) -> InterpretError {
        InterpretError::new(self.name.to_string(), error)
    }
}

impl<T: Topology + KubernetesCluster + Prober> Score<T> for HelmChartScore {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Workload<T> for HelmChartScore {
    type Running = Installed;

    fn name(&self) -> String {
        self.name.to_string()
    }

    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let (resources, hooks) = self.resources(topology).await?;
        let owner = Owner::score(&resources.name, &self.namespace);
        let runner = Hooks::new(topology.context(), topology, &owner);
        let prepared = runner.prepare(&resources.objects, &hooks, false).await;
        let mut prepared = prepared.map_err(|error| self.failed(error))?;
        let before = std::mem::take(&mut prepared.before);
        let after = std::mem::take(&mut prepared.after);
        let followup = runner.run_before(prepared).await;
        let followup = followup.map_err(|error| self.failed(error))?;
        let deployed = resources.deploy(inventory, topology).await?;
        Ok(deployed
            .after(before)
            .map(|applied| Installed { applied, followup })
            .with(after))
    }

    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        running.applied.wait_ready(topology).await?;
        if let Some(owner) = &running.followup.owner {
            let runner = Hooks::new(topology.context(), topology, owner);
            let done = runner.run_after(&running.followup, self.deadline).await;
            done.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn checks(&self, _: &Self::Running) -> Checks {
        self.checks.clone()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

/// The applied objects of a chart, and the hooks to run when they are ready.
#[derive(Debug, Clone)]
pub struct Installed {
    applied: Applied,
    followup: Followup,
}
