//! Bringing a released chart to where it runs.

use std::time::Duration;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::ChartRef;

use super::kubernetes_cluster::ClusterError;
use super::oci_registry::{RegistryError, RegistryLocation};
use crate::chart::DeployTarget;
use crate::context::Cancelled;
use crate::diagnostic::{Code, Diagnostic, FailureKind};
use crate::outcome::Change;

/// Can bring a chart to where it runs and keep it there. Providers: direct apply, Argo CD, Flux.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot deliver charts",
    label = "this topology lacks the capability `ContinuousDelivery`",
    note = "give `{Self}` a delivery, for example `harmony_kubernetes::DirectDelivery`, and delegate `ContinuousDelivery` to it"
)]
pub trait ContinuousDelivery: Send + Sync {
    /// Where it takes charts from: the registry they were released to, or a mirror of it.
    fn charts(&self) -> &RegistryLocation;

    /// Makes the target run the chart. Returns once the change is accepted; see [`ContinuousDelivery::wait_ready`].
    ///
    /// # Errors
    /// See [`DeliveryError`].
    async fn sync_to(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Vec<Change>, DeliveryError>;

    /// Waits until every workload of the chart serves at its current revision. Planning returns at once.
    ///
    /// # Errors
    /// As [`KubernetesCluster::wait_ready`](super::KubernetesCluster::wait_ready).
    async fn wait_ready(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
        deadline: Duration,
    ) -> Result<(), DeliveryError>;
}

/// A chart could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The chart could not be had.
    #[error("cannot get the chart {chart}")]
    Chart {
        /// Which chart.
        chart: ChartRef,
        /// Why.
        #[source]
        source: RegistryError,
    },
    /// The chart is not one that this delivery can render.
    #[error("cannot render the chart {chart}: {reason}")]
    Render {
        /// Which chart.
        chart: ChartRef,
        /// What is wrong, and in which file.
        reason: String,
        /// The way out.
        help: String,
    },
    /// The cluster did not take it, or it did not become ready.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Diagnostic for DeliveryError {
    fn code(&self) -> Code {
        match self {
            Self::Chart { source, .. } => source.code(),
            Self::Render { .. } => Code::new(330),
            Self::Cluster(error) => error.code(),
            Self::Cancelled(cancelled) => cancelled.code(),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Chart { source, .. } => source.kind(),
            Self::Render { .. } => FailureKind::Refused,
            Self::Cluster(error) => error.kind(),
            Self::Cancelled(cancelled) => cancelled.kind(),
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.place(),
            _ => None,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Chart { source, .. } => source.evidence(),
            Self::Cluster(error) => error.evidence(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Chart { source, .. } => source.hints(),
            Self::Render { help, .. } => vec![help.clone()],
            Self::Cluster(error) => error.hints(),
            Self::Cancelled(cancelled) => cancelled.hints(),
        }
    }
}
