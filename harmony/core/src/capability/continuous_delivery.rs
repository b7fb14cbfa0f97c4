//! Delivering a released chart to its target.

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

/// Delivers charts to a target and keeps them there. Providers: direct apply, Argo CD, Flux.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot deliver charts",
    label = "this topology lacks the capability `ContinuousDelivery`",
    note = "give `{Self}` a delivery, for example `harmony_kubernetes::DirectDelivery`, and delegate `ContinuousDelivery` to it"
)]
pub trait ContinuousDelivery: Send + Sync {
    /// The registry that charts are pulled from: the one they were released to, or a mirror.
    fn charts(&self) -> &RegistryLocation;

    /// Makes the target run the chart. Returns when the change has been accepted; see
    /// [`ContinuousDelivery::wait_ready`].
    ///
    /// # Errors
    /// See [`DeliveryError`].
    async fn sync_to(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Delivered, DeliveryError>;

    /// Waits until the current revision of everything that was delivered is ready. While planning, it returns
    /// immediately.
    ///
    /// # Errors
    /// See [`KubernetesCluster::wait_ready`](super::KubernetesCluster::wait_ready).
    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError>;
}

/// The changes of a delivery, and the objects that have to become ready.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivered {
    /// Everything it looked at, in order, including what needed no change.
    pub changes: Vec<Change>,
    /// The objects to wait for. Empty when planning a chart that has not been released yet.
    pub objects: Vec<ObjectRef>,
    /// What runs once they are ready.
    pub followup: Followup,
    /// Where a controller in the cluster reports on the delivery; `None` if there is no controller.
    pub controlled: Option<Controlled>,
}

/// A delivery by a controller in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controlled {
    /// The object in which the controller reports, such as an Application of Argo CD.
    pub object: ObjectRef,
    /// The request of this run, by which it recognises its own delivery.
    pub run: String,
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
    /// The chart cannot be fetched.
    #[error("cannot fetch the chart {chart}")]
    Chart {
        /// The chart.
        chart: ChartRef,
        /// The underlying error.
        #[source]
        source: RegistryError,
    },
    /// The chart cannot be rendered.
    #[error("cannot render the chart {chart}")]
    Render {
        /// The chart.
        chart: ChartRef,
        /// The problem, with its location and a hint.
        #[source]
        source: AnyDiagnostic,
    },
    /// The chart name cannot be used as a label value and object name.
    #[error("the chart name `{}` is not valid as a label value and object name", chart.name())]
    UnfitName {
        /// The chart.
        chart: ChartRef,
    },
    /// The inventory of the delivery cannot be parsed.
    #[error("the inventory in {inventory} {problem}")]
    DamagedInventory {
        /// The object that contains the inventory.
        inventory: ObjectRef,
        /// The reason.
        problem: String,
        /// The label of the objects that stay in the cluster if the inventory is deleted.
        label: String,
    },
    /// The inventory contains an object that the delivery did not create.
    #[error("the inventory in {inventory} lists {object}, which does not belong to this delivery")]
    ForeignEntry {
        /// The object that contains the inventory.
        inventory: ObjectRef,
        /// The object in the inventory.
        object: ObjectRef,
    },
    /// The cluster does not serve the kinds of the controller. Nothing was written.
    #[error("the cluster has no {controller}")]
    NoController {
        /// The controller: `Argo CD`.
        controller: &'static str,
        /// How to install it.
        help: String,
    },
    /// The controller does not begin.
    #[error("{controller} did not begin to deliver {object} within {} s", after.as_secs())]
    ControllerSilent {
        /// The controller: `Argo CD`.
        controller: &'static str,
        /// The object in which it should report.
        object: ObjectRef,
        /// How long it had.
        after: Duration,
        /// The state of its workloads.
        state: Vec<String>,
    },
    /// The controller is not running.
    #[error("{controller} is not running")]
    ControllerDown {
        /// The controller: `Argo CD`.
        controller: &'static str,
        /// The state of its workloads.
        state: Vec<String>,
    },
    /// The controller reported a failure.
    #[error("{controller} could not deliver {object}: {message}")]
    SyncFailed {
        /// The controller: `Argo CD`.
        controller: &'static str,
        /// The object in which it reported.
        object: ObjectRef,
        /// Its message.
        message: String,
        /// The objects that failed, with their messages.
        objects: Vec<String>,
    },
    /// Another delivery of the same chart took the place of this one.
    #[error("the delivery of {object} was superseded by {by}")]
    Superseded {
        /// The object that both deliveries use.
        object: ObjectRef,
        /// Who asked for the other one.
        by: String,
    },
    /// The registry does not have the objects of the chart, which the controller needs because it cannot render charts.
    #[error("the registry has no objects for {chart}, which {controller} cannot render")]
    NoObjects {
        /// The controller: `Flux's kustomize-controller`.
        controller: &'static str,
        /// The chart.
        chart: ChartRef,
        /// What else to do.
        help: String,
    },
    /// With the values of the target, the chart has objects that were not released.
    #[error("{controller} cannot add objects to the released ones of {chart}")]
    AddedObjects {
        /// The controller: `Flux's kustomize-controller`.
        controller: &'static str,
        /// The chart.
        chart: ChartRef,
        /// The objects that only the values of the target add.
        objects: Vec<ObjectRef>,
        /// What else to do.
        help: String,
    },
    /// The cluster refused the objects, or they did not become ready.
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
            Self::NoController { .. } => Origin::Own(codes::NO_CONTROLLER),
            Self::ControllerSilent { .. } | Self::ControllerDown { .. } => {
                Origin::Own(codes::CONTROLLER_SILENT)
            }
            Self::SyncFailed { .. } => Origin::Own(codes::SYNC_FAILED),
            Self::Superseded { .. } => Origin::Own(codes::DELIVERY_SUPERSEDED),
            Self::NoObjects { .. } | Self::AddedObjects { .. } => {
                Origin::Own(codes::OBJECTS_NOT_RELEASED)
            }
            Self::Chart { source, .. } => Origin::Inner(source),
            Self::Render { source, .. } => Origin::Inner(source),
            Self::Cluster(error) => Origin::Inner(error),
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::ControllerSilent { .. }
            | Self::ControllerDown { .. }
            | Self::SyncFailed { .. }
            | Self::Superseded { .. } => FailureKind::Failed,
            _ => match self.inner() {
                Some(inner) => inner.kind(),
                None => FailureKind::Refused,
            },
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::ControllerSilent { object, .. }
            | Self::SyncFailed { object, .. }
            | Self::Superseded { object, .. } => Some(object.to_string()),
            _ => self.inner().and_then(Diagnostic::place),
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::ControllerSilent { state, .. } | Self::ControllerDown { state, .. } => {
                state.clone()
            }
            Self::SyncFailed { objects, .. } => objects.clone(),
            Self::AddedObjects { objects, .. } => {
                objects.iter().map(ObjectRef::to_string).collect()
            }
            _ => self.inner().map(Diagnostic::evidence).unwrap_or_default(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoController { help, .. } => vec![help.clone()],
            Self::NoObjects { help, .. } => vec![
                "release this version again: Harmony then adds what is missing".into(),
                help.clone(),
            ],
            Self::AddedObjects { help, .. } => vec![
                "release a version whose chart has these objects with its own values, under the same names".into(),
                help.clone(),
            ],
            Self::ControllerSilent { controller, .. } | Self::ControllerDown { controller, .. } => {
                vec![format!(
                    "make {controller} run in the cluster, then run the same command again"
                )]
            }
            Self::SyncFailed { object, .. } => vec![format!(
                "fix the cause, then run the same command again; `{}` shows all that it reported",
                command("describe", object)
            )],
            Self::Superseded { .. } => {
                vec![
                    "wait until the other delivery is done, then run the same command again".into(),
                ]
            }
            Self::UnfitName { .. } => {
                vec!["give the chart a name of at most 63 letters, digits, `-` and `.`".into()]
            }
            Self::DamagedInventory {
                inventory, label, ..
            } => vec![format!(
                "restore it, or delete it with `{}`; objects that are no longer in the chart then stay in the \
                 cluster, with the label `{label}`",
                command("delete", inventory)
            )],
            Self::ForeignEntry { inventory, .. } => vec![format!(
                "remove the entry with `{}`",
                command("edit", inventory)
            )],
            _ => Vec::new(),
        }
    }
}

/// The kubectl command for a namespaced object.
fn command(verb: &str, object: &ObjectRef) -> String {
    let namespace = object
        .namespace
        .as_ref()
        .map(|namespace| format!(" --namespace {namespace}"))
        .unwrap_or_default();
    let kind = object.kind.to_lowercase();
    format!("kubectl {verb} {kind}{namespace} {}", object.name)
}
