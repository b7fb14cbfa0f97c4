//! Third-party charts.
//!
//! ```text
//! source --fetch--> archive, pinned by charts.lock --helm--> objects and hooks --Installation--> cluster
//! ```

mod error;
mod fetch;
mod lock;
mod source;

use std::time::Duration;

use harmony_charts::ChartObjects;
use harmony_charts::helm::{HelmChart, Lookups, inflate};
use harmony_core::capability::continuous_delivery::Delivered;
use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::owner::Owner;
use harmony_core::verify::{Checks, Deployed, READY_DEADLINE, Workload, verified};
use harmony_core::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_kubernetes::delivery::install::{Installation, settle};
use harmony_types::{Namespace, ResourceName};
use serde::Serialize;
use serde_json::Value;

pub use error::HelmChartError;
use fetch::Fetched;
pub use lock::{ChartsLock, LockedChart};
pub use source::HelmSource;

/// Deploys a third-party chart: renders it with the `helm` binary, and installs its objects like those of our own charts.
/// They are planned, applied, awaited and checked, and what a new version of the chart no longer contains is removed.
/// `helm` never accesses the cluster. Hooks run before and after that, tests at the end.
///
/// ```no_run
/// # use harmony::prelude::*;
/// # use harmony::scores::{ChartsLock, HelmChartScore};
/// # use harmony_core::verify::Checks;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[derive(serde::Serialize)]
/// #[serde(rename_all = "camelCase")]
/// struct Values {
///     replica_count: u32,
/// }
///
/// # let charts = ChartsLock::new("charts.lock", "");
/// # /*
/// let charts = harmony::charts_lock!();
/// # */
/// let podinfo = charts.oci("oci://ghcr.io/stefanprodan/charts/podinfo", "6.14.1")?;
/// let score = HelmChartScore::new("podinfo".parse()?, "demo".parse()?, podinfo, Checks::readiness_alone())
///     .with_values(&Values { replica_count: 2 })?;
/// # Ok(())
/// # }
/// ```
///
/// The digest of a chart from a registry or a repository is in the `charts.lock` of the deploy crate: see [`ChartsLock`].
/// The binary is the one in `HARMONY_HELM`, or the first `helm` on `PATH`.
#[derive(Debug, Clone)]
pub struct HelmChartScore {
    /// The name of the Helm release and of this Score.
    pub name: ResourceName,
    /// The namespace of the objects; created if it does not exist.
    pub namespace: Namespace,
    /// The chart.
    pub source: HelmSource,
    /// A mapping that is merged with the values of the chart.
    pub values: Value,
    /// What its templates find with Helm's function `lookup`.
    pub lookups: Lookups,
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
        source: impl Into<HelmSource>,
        checks: Checks,
    ) -> Self {
        Self {
            name,
            namespace,
            source: source.into(),
            values: Value::Null,
            lookups: Lookups::Refused,
            checks,
            deadline: READY_DEADLINE,
        }
    }

    /// Sets the values that differ from those of the chart: a struct or a mapping, as in a file for `helm --values`.
    ///
    /// # Errors
    /// [`HelmChartError::Values`] if they are not a mapping.
    pub fn with_values(self, values: &impl Serialize) -> Result<Self, HelmChartError> {
        let invalid = |problem: String| HelmChartError::Values {
            release: self.name.to_string(),
            problem,
        };
        let values = serde_json::to_value(values).map_err(|error| invalid(error.to_string()))?;
        if !values.is_object() {
            return Err(invalid("are not a mapping".to_owned()));
        }
        Ok(Self { values, ..self })
    }

    /// Lets the templates of the chart call `lookup`, which finds nothing: the chart is rendered as for its first
    /// installation, every time.
    #[must_use]
    pub fn with_empty_lookups(self) -> Self {
        Self {
            lookups: Lookups::Empty,
            ..self
        }
    }

    /// Sets the time limit for becoming ready.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    async fn render<T: Topology + KubernetesCluster>(
        &self,
        topology: &T,
        fetched: &Fetched,
    ) -> Result<ChartObjects, HelmChartError> {
        let chart = HelmChart {
            release: self.name.to_string(),
            archive: fetched.archive.clone(),
            values: self.values.clone(),
            namespace: self.namespace.clone(),
            lookups: self.lookups,
        };
        let known = topology.capabilities().await?;
        let rendered = inflate(topology.context(), &chart, known.as_ref()).await;
        rendered.map_err(|source| HelmChartError::rendered(fetched.what.clone(), source))
    }

    async fn install<T: Topology + KubernetesCluster>(
        &self,
        topology: &T,
    ) -> Result<Delivered, HelmChartError> {
        let owner = Owner::release(&self.name, &self.namespace);
        let installation = Installation::new(topology.context(), topology, &owner);
        let installation = installation.ok_or_else(|| HelmChartError::UnfitName {
            release: self.name.clone(),
        })?;
        let fetched = fetch::fetch(topology.context(), &self.source).await?;
        let objects = self.render(topology, &fetched).await?;
        let mut delivered = installation
            .apply(&fetched.version, &fetched.digest, objects)
            .await?;
        if let Some(change) = fetched.change {
            delivered.changes.insert(0, change);
        }
        Ok(delivered)
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
    type Running = Delivered;

    fn name(&self) -> String {
        self.name.to_string()
    }

    async fn deploy(
        &self,
        _: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let delivered = self.install(topology).await;
        let delivered =
            delivered.map_err(|error| InterpretError::new(self.name.to_string(), error))?;
        Ok(Deployed::new(delivered.changes.clone(), delivered))
    }

    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        settle(topology.context(), topology, running, self.deadline)
            .await
            .map_err(|error| InterpretError::new(self.name.to_string(), error))
    }

    fn checks(&self, _: &Self::Running) -> Checks {
        self.checks.clone()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
