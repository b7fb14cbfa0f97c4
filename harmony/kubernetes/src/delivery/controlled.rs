//! What deliveries by a controller in the cluster have in common: consent, leftovers, and the state of its workloads.

use std::time::Duration;

use harmony_charts::{Hook, HookEvent};
use harmony_core::Context;
use harmony_core::approval::Takeover;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::{KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use harmony_types::{ChartRef, Namespace};
use serde_json::Value;

use super::install::approve_deletions;
use crate::apply::{Standing, rank, standing};

/// How long a failed hook is looked at to find out why.
const DIAGNOSIS_DEADLINE: Duration = Duration::from_secs(5);

/// Checks that the cluster serves the kinds of the controller.
///
/// # Errors
/// [`DeliveryError::NoController`] with `help`.
pub(super) async fn check_installed(
    cluster: &impl KubernetesCluster,
    controller: &'static str,
    kinds: &[(&str, &str)],
    help: impl FnOnce() -> String,
) -> Result<(), DeliveryError> {
    let Some(known) = cluster.capabilities().await? else {
        return Ok(());
    };
    let is_served = |(api_version, kind): &(&str, &str)| {
        let mut served = known.kinds.iter();
        served.any(|known| known.api_version == *api_version && known.kind == *kind)
    };
    if kinds.iter().all(is_served) {
        return Ok(());
    }
    Err(DeliveryError::NoController {
        controller,
        help: help(),
    })
}

pub(super) fn is_unchanged(change: &Change) -> bool {
    change.action == Action::Unchanged
}

/// An object that the new version does not have.
pub(super) struct Leftover {
    pub(super) object: KubeObject,
    /// Why it is kept; `None` if it is deleted.
    pub(super) reason_to_keep: Option<&'static str>,
}

/// Asks whether objects that others applied may be taken over. The controller itself would not ask.
pub(super) async fn approve_takeovers(
    context: &Context,
    cluster: &impl KubernetesCluster,
    objects: &[KubeObject],
    owner: &Owner,
) -> Result<(), DeliveryError> {
    let mut takeovers = Vec::new();
    for object in objects {
        let Some(found) = cluster.get(object.reference()).await? else {
            continue;
        };
        if let Standing::Others(owners) = standing(found.body(), owner)
            && !is_shared(&owners, object.reference(), owner)
        {
            takeovers.push(Takeover {
                object: object.reference().clone(),
                owner: owners.join(", "),
            });
        }
    }
    if takeovers.is_empty() || context.approve_takeovers(&takeovers).await? {
        return Ok(());
    }
    Err(ClusterError::OtherOwner { takeovers }.into())
}

/// Definitions are shared between the namespaces of the same chart.
fn is_shared(owners: &[String], object: &ObjectRef, owner: &Owner) -> bool {
    let chart = owner.name();
    let same = |other: &String| {
        let of_harmony = other
            .strip_prefix("chart:")
            .and_then(|rest| rest.split_once('@'))
            .is_some_and(|(name, _)| name == chart);
        let of_argo = other
            .strip_prefix("the Argo CD application ")
            .and_then(|name| name.split_once('.'))
            .is_some_and(|(_, name)| name == chart);
        let of_helm = other
            .strip_prefix("the Helm release ")
            .and_then(|rest| rest.split_once(" in "))
            .is_some_and(|(name, _)| name == chart);
        let of_flux = ["the Flux HelmRelease ", "the Flux Kustomization "]
            .iter()
            .any(|what| other.strip_prefix(what) == Some(chart));
        of_harmony || of_argo || of_helm || of_flux
    };
    object.kind == "CustomResourceDefinition" && owners.iter().all(same)
}

/// Of `listed`, the objects that are in the cluster, belong to the delivery, and are not in the new version. Workloads
/// and what routes traffic to them come before their dependencies.
pub(super) async fn leftovers(
    cluster: &impl KubernetesCluster,
    listed: Vec<ObjectRef>,
    wanted: &[KubeObject],
    is_ours: impl Fn(&Value) -> bool,
) -> Result<Vec<Leftover>, DeliveryError> {
    let mut leftovers = Vec::new();
    for reference in listed {
        let is_wanted = wanted.iter().any(|object| {
            let other = object.reference();
            other.kind == reference.kind
                && other.name == reference.name
                && other.namespace == reference.namespace
        });
        if is_wanted {
            continue;
        }
        if let Some(object) = cluster.get(&reference).await?
            && is_ours(object.body())
        {
            leftovers.push(Leftover {
                reason_to_keep: super::inventory::worth_keeping(&object),
                object,
            });
        }
    }
    leftovers.sort_by_key(|leftover| std::cmp::Reverse(rank(leftover.object.reference())));
    Ok(leftovers)
}

/// Asks, before anything is written, whether the objects may be deleted.
pub(super) async fn approve_removal(
    context: &Context,
    leftovers: &[Leftover],
) -> Result<(), DeliveryError> {
    let removed = leftovers.iter().filter(|one| one.reason_to_keep.is_none());
    let deletions = removed.map(|leftover| leftover.object.reference());
    approve_deletions(context, deletions).await
}

/// Keeps or deletes the object, as [`Leftover::reason_to_keep`] says.
pub(super) async fn remove(
    cluster: &impl KubernetesCluster,
    leftover: Leftover,
) -> Result<Change, DeliveryError> {
    let Leftover {
        object,
        reason_to_keep,
    } = leftover;
    if let Some(reason) = reason_to_keep {
        let unchanged = Change::new(Action::Unchanged, object.reference().clone());
        return Ok(unchanged.with_note(reason));
    }
    let change = cluster.delete_observed(&object).await?;
    Ok(change.with_note("no longer in the chart"))
}

/// The cause of a failed hook, if one of them failed and its pods are still there: the controllers only say that it did.
pub(super) async fn failed_hook(
    cluster: &impl KubernetesCluster,
    hooks: Vec<ObjectRef>,
) -> Option<DeliveryError> {
    for hook in hooks {
        if !matches!(cluster.get(&hook).await, Ok(Some(_))) {
            continue;
        }
        let diagnosis = cluster.wait_ready(&[hook], DIAGNOSIS_DEADLINE).await;
        if let Err(error @ ClusterError::NotReady(_)) = diagnosis {
            return Some(error.into());
        }
    }
    None
}

/// Tests run as checks of Harmony, after the controller is done.
pub(super) fn tests(hooks: &[Hook]) -> Vec<KubeObject> {
    let tests = hooks.iter().filter(|hook| hook.runs_at(HookEvent::Test));
    tests.map(|hook| hook.object.clone()).collect()
}

/// Differs from that of every earlier request in the same object: it contains the version of the object that it is based
/// on.
pub(super) fn run_id(chart: &ChartRef, based_on: &Value) -> String {
    let resource_version = &based_on["metadata"]["resourceVersion"];
    format!(
        "{}-{}",
        chart.version(),
        resource_version.as_str().unwrap_or("0")
    )
}

/// The state of the workloads of these parts, and whether each part has a workload that is ready. The values of the label
/// `key` name the workloads that may contain a part.
pub(super) async fn workloads(
    cluster: &impl KubernetesCluster,
    namespace: &Namespace,
    key: &str,
    parts: &[&[&str]],
) -> Result<(Vec<String>, bool), DeliveryError> {
    let mut state: Vec<String> = Vec::new();
    let mut are_ready = true;
    for names in parts {
        let mut found = Vec::new();
        for name in *names {
            for kind in ["StatefulSet", "Deployment"] {
                let query = ObjectQuery {
                    api_version: "apps/v1".into(),
                    kind: kind.into(),
                    namespace: Some(namespace.clone()),
                    labels: [(key.to_owned(), (*name).to_owned())].into(),
                };
                found.extend(cluster.list(&query).await?);
            }
        }
        let mut is_ready = false;
        for workload in &found {
            let live = cluster.get(workload).await?;
            let (ready, wanted) = replicas(live.as_ref().map_or(&Value::Null, KubeObject::body));
            is_ready |= ready > 0;
            let line = format!("{workload}: {ready} of {wanted} replicas are ready");
            if !state.contains(&line) {
                state.push(line);
            }
        }
        if let ([name, ..], []) = (names, found.as_slice()) {
            state.push(format!("{name}: not in the namespace {namespace}"));
        }
        are_ready &= is_ready;
    }
    Ok((state, are_ready))
}

/// The replicas of a workload that are ready, and those that it should have.
fn replicas(workload: &Value) -> (u64, u64) {
    (
        workload["status"]["readyReplicas"].as_u64().unwrap_or(0),
        workload["spec"]["replicas"].as_u64().unwrap_or(1),
    )
}
