//! Bringing a released chart to where it runs.

use std::time::Duration;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::ChartRef;

use super::kubernetes_cluster::ClusterError;
use super::oci_registry::{RegistryError, RegistryLocation};
use crate::chart::DeployTarget;
use crate::codes;
use crate::context::Cancelled;
use crate::diagnostic::{AnyDiagnostic, Diagnostic, FailureKind, Origin};
use crate::kubernetes::{KubeObject, ObjectRef};
use crate::outcome::Change;
use crate::owner::Owner;

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
    ) -> Result<Delivered, DeliveryError>;

    /// Waits until everything that was delivered serves at its current revision. Planning returns at once.
    ///
    /// # Errors
    /// As [`KubernetesCluster::wait_ready`](super::KubernetesCluster::wait_ready).
    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError>;
}

/// What a delivery did, and what has to become ready before it works.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivered {
    /// Each thing it looked at, in order, those that needed no change included.
    pub changes: Vec<Change>,
    /// The objects to wait for. Empty for a plan of a chart that is not released yet.
    pub objects: Vec<ObjectRef>,
    /// What runs once they are ready.
    pub followup: Followup,
}

/// What a chart runs when its objects are ready.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Followup {
    /// For whom; `None` when there is nothing to run.
    pub owner: Option<Owner>,
    /// The hooks that follow an install or an upgrade, in order.
    pub hooks: Vec<KubeObject>,
    /// Where it is recorded that all hooks have run.
    pub record: Option<KubeObject>,
    /// The chart's own tests, in order.
    pub tests: Vec<KubeObject>,
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
    #[error("cannot render the chart {chart}")]
    Render {
        /// Which chart.
        chart: ChartRef,
        /// What is wrong with it, where, and the way out.
        #[source]
        source: AnyDiagnostic,
    },
    /// The chart's name cannot name what a delivery keeps in the cluster.
    #[error("the chart name `{}` cannot be a label or the name of an object", chart.name())]
    UnfitName {
        /// Which chart.
        chart: ChartRef,
    },
    /// The list of what earlier deliveries created cannot be read.
    #[error("{inventory}, which lists what is delivered, {problem}")]
    DamagedInventory {
        /// The object that holds the list.
        inventory: ObjectRef,
        /// What is wrong with it.
        problem: String,
        /// What stays in the cluster when the list is deleted.
        label: String,
    },
    /// The list of what earlier deliveries created names an object that none of them created.
    #[error("{inventory} lists {object}, which is not part of this delivery")]
    ForeignEntry {
        /// The object that holds the list.
        inventory: ObjectRef,
        /// What it lists.
        object: ObjectRef,
    },
    /// The cluster did not take it, or it did not become ready.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Diagnostic for DeliveryError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::UnfitName { .. } => Origin::Own(codes::CHART_NAME_UNFIT),
            Self::DamagedInventory { .. } => Origin::Own(codes::INVENTORY_DAMAGED),
            Self::ForeignEntry { .. } => Origin::Own(codes::INVENTORY_FOREIGN_ENTRY),
            Self::Chart { source, .. } => Origin::Inner(source),
            Self::Render { source, .. } => Origin::Inner(source),
            Self::Cluster(error) => Origin::Inner(error),
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::UnfitName { .. } => {
                vec!["give the chart a name of at most 63 letters, digits, `-` and `.`".into()]
            }
            Self::DamagedInventory {
                inventory, label, ..
            } => vec![format!(
                "restore it, or delete it with `{}`: objects that the chart no longer has then stay, with the label \
                 `{label}`",
                command("delete", inventory)
            )],
            Self::ForeignEntry { inventory, .. } => vec![format!(
                "remove that entry with `{}`",
                command("edit", inventory)
            )],
            _ => Vec::new(),
        }
    }
}

/// The kubectl command that does that to a namespaced object.
fn command(verb: &str, object: &ObjectRef) -> String {
    let namespace = object
        .namespace
        .as_ref()
        .map(|namespace| format!(" --namespace {namespace}"))
        .unwrap_or_default();
    let kind = object.kind.to_lowercase();
    format!("kubectl {verb} {kind}{namespace} {}", object.name)
}
