//! A third party's chart.

use std::time::Duration;

use harmony_core::capability::KubernetesCluster;
use harmony_core::verify::{READY_DEADLINE, SmokeCheck, Verifiable};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_kubernetes::chart::helm::{HelmChart, HelmSource, inflate};
use harmony_types::{Namespace, ResourceName};
use serde_json::Value;

use super::K8sResourceScore;

/// Renders a chart with the `helm` binary and applies its objects as any others: they are planned, awaited and checked
/// like those of our own Scores, and `helm` never sees the cluster.
///
/// The binary is that of `HARMONY_HELM`, else the first `helm` on `PATH`.
#[derive(Debug, Clone)]
pub struct HelmChartScore {
    /// The name of the release, and of this Score.
    pub name: ResourceName,
    /// Where the objects go; created when it is missing.
    pub namespace: Namespace,
    /// The chart, always at a version.
    pub source: HelmSource,
    /// What is merged over the chart's own values: a mapping.
    pub values: Value,
    /// What must hold once the objects are ready.
    pub checks: Vec<SmokeCheck>,
    /// How long the objects may take to become ready.
    pub deadline: Duration,
}

impl HelmChartScore {
    /// With the chart's own values, without checks.
    pub fn new(name: ResourceName, namespace: Namespace, source: HelmSource) -> Self {
        Self {
            name,
            namespace,
            source,
            values: Value::Null,
            checks: Vec::new(),
            deadline: READY_DEADLINE,
        }
    }

    async fn resources<T: Topology>(
        &self,
        topology: &T,
    ) -> Result<K8sResourceScore, InterpretError> {
        let chart = HelmChart {
            release: self.name.to_string(),
            source: self.source.clone(),
            values: self.values.clone(),
            namespace: self.namespace.clone(),
        };
        let name = self.name.to_string();
        let objects = inflate(topology.context(), &chart)
            .await
            .map_err(|error| InterpretError::new(&name, error))?;
        let mut score = K8sResourceScore::new(name, self.namespace.clone(), objects);
        score.deadline = self.deadline;
        Ok(score)
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for HelmChartScore {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for HelmChartScore {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        self.resources(topology)
            .await?
            .execute(inventory, topology)
            .await
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Verifiable<T> for HelmChartScore {
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        Verifiable::wait_ready(&self.resources(topology).await?, topology).await
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        self.checks.clone()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
