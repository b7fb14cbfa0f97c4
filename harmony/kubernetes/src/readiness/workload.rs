//! Readiness of built-in kinds.

use std::sync::Arc;

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::FailureClass;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;
use super::observed::{Observed, Surroundings, is_owned_by, label, name, uid};
use super::probes::probe_budget;
use super::refusal::{failed_create, pods_refused};
use super::state::{doing, has_ended, is_leaving, is_ready, ready_of};
use super::{custom, jobs, others, policies, routes};

pub(super) fn assess(target: &ObjectRef, object: &Value, observed: &Observed<'_>) -> Assessment {
    let group = target
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    let around = observed.around;
    match (group, target.kind.as_str()) {
        ("apps", "Deployment") => typed(object, |object| deployment(object, around)),
        ("apps", "StatefulSet") => typed(object, |object| stateful_set(object, around)),
        ("apps", "DaemonSet") => typed(object, |object| daemon_set(object, around)),
        ("apps", "ReplicaSet") => typed(object, |object| replica_set(object, around)),
        ("batch", "Job") => typed(object, |object| jobs::job(object, around)),
        ("batch", "CronJob") => jobs::cron_job(object),
        ("", "Pod") => typed(object, jobs::pod),
        ("", "Service") => typed(object, |object| routes::service(object, around)),
        ("networking.k8s.io", "Ingress") => typed(object, |object| routes::ingress(object, around)),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            typed(object, |object| policies::autoscaler(object, around))
        }
        ("policy", "PodDisruptionBudget") => {
            typed(object, |object| policies::disruption_budget(object, around))
        }
        ("", "PersistentVolumeClaim") => typed(object, |object| others::claim(object, around)),
        ("", "Namespace") => others::namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => typed(object, others::definition),
        _ if !has_readiness(target) => Assessment::Ready,
        _ => custom::assess(object, observed.has_status),
    }
}

/// Whether there is anything to wait for: the kinds above, and custom resources.
pub(super) fn has_readiness(target: &ObjectRef) -> bool {
    let group = target
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    match group {
        "apps" => matches!(
            target.kind.as_str(),
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        ),
        "batch" => matches!(target.kind.as_str(), "Job" | "CronJob"),
        "autoscaling" => target.kind == "HorizontalPodAutoscaler",
        "policy" => target.kind == "PodDisruptionBudget",
        "" => matches!(
            target.kind.as_str(),
            "Pod" | "Service" | "PersistentVolumeClaim" | "Namespace"
        ),
        "networking.k8s.io" => target.kind == "Ingress",
        "apiextensions.k8s.io" => true,
        // Other built-in kinds have no readiness.
        _ => is_custom(target),
    }
}

/// Whether the kind comes from a definition in the cluster, not from the server itself.
pub(super) fn is_custom(target: &ObjectRef) -> bool {
    let group = target.api_version.rsplit_once('/');
    group.is_some_and(|(group, _)| group.contains('.') && !group.ends_with(".k8s.io"))
}

fn typed<K: DeserializeOwned>(object: &Value, read: impl FnOnce(&K) -> Assessment) -> Assessment {
    match serde_json::from_value(object.clone()) {
        Ok(object) => read(&object),
        Err(error) => Waiting::because(format!("its state cannot be read: {error}")),
    }
}

/// Whether the controller has seen the latest change.
fn is_observed(generation: Option<i64>, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) >= generation.unwrap_or(0)
}

const NOT_OBSERVED: &str = "its controller has not seen the change yet";

fn deployment(object: &Deployment, around: &Surroundings) -> Assessment {
    let status = object.status.clone().unwrap_or_default();
    if !is_observed(object.metadata.generation, status.observed_generation) {
        return Waiting::because(NOT_OBSERVED);
    }
    let spec = object.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let own = uid(&object.metadata);
    let current = current_replica_set(object, around);
    let pods: Vec<_> = current
        .map(|set| around.pods_of(uid(&set.metadata)).cloned().collect())
        .unwrap_or_default();
    let old_pods: Vec<_> = around
        .replica_sets
        .iter()
        .filter(|set| is_owned_by(&set.metadata, own))
        .filter(|set| current.is_none_or(|current| uid(&current.metadata) != uid(&set.metadata)))
        .flat_map(|set| around.pods_of(uid(&set.metadata)))
        .filter(|pod| !has_ended(pod))
        .collect();
    // A quota that is used up by old pods is released when they go.
    let frees_quota = !old_pods.is_empty();
    // A terminating pod gets no new connections; how long it takes does not concern the revision.
    let old_pods = old_pods.iter().filter(|pod| !is_leaving(pod)).count();
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let all = status.replicas.unwrap_or(0);
    if current.is_some()
        && updated == wanted
        && available == wanted
        && all == wanted
        && old_pods == 0
    {
        return Assessment::serving(pods);
    }
    let ready = ready_of(&pods);
    let why = if ready >= wanted && old_pods > 0 {
        format!("{ready}/{wanted} ready; old pods still running: {old_pods}")
    } else {
        progress(ready, wanted, &pods)
    };
    let mut troubles = Vec::new();
    if spec.and_then(|spec| spec.paused) == Some(true) {
        troubles.push(Finding::new(
            FailureClass::NotReady,
            0,
            "is paused, so its rollout does not start",
            "spec.paused is true",
            "remove `paused: true`, or resume it with `kubectl rollout resume`",
        ));
    }
    let conditions = status.conditions.unwrap_or_default();
    let refusal = current
        .and_then(|set| set.status.as_ref()?.conditions.as_ref())
        .and_then(|all| {
            all.iter()
                .find(|one| one.type_ == "ReplicaFailure" && one.status == "True")
        })
        .map(|condition| condition.message.clone().unwrap_or_default());
    troubles.extend(refusal.map(|message| pods_refused(&message, frees_quota)));
    let stuck = conditions.iter().find(|one| {
        one.type_ == "Progressing" && one.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    let progress_deadline = spec.and_then(|spec| spec.progress_deadline_seconds);
    let template = spec.and_then(|spec| spec.template.spec.as_ref());
    let containers = template.iter().flat_map(|pods| &pods.containers);
    let allowed = containers.map(probe_budget).max().unwrap_or_default();
    let is_short = allowed.as_secs() > i64::from(progress_deadline.unwrap_or(600));
    troubles.extend(stuck.map(|condition| Finding {
        // The time that its probes still allow takes precedence.
        grace: (!is_short).then_some(SignedDuration::ZERO),
        ..Finding::new(
            FailureClass::NotReady,
            0,
            "made no progress within its progress deadline",
            condition.message.clone().unwrap_or_default(),
            if is_short {
                "raise `progressDeadlineSeconds` above what its probes allow"
            } else {
                "read the events of its pods"
            },
        )
    }));
    Assessment::Waiting(Waiting {
        why,
        pods,
        troubles,
        ..Waiting::default()
    })
}

/// The ReplicaSet of the latest revision that the Deployment controller recorded.
fn current_replica_set<'a>(
    object: &Deployment,
    around: &'a Surroundings,
) -> Option<&'a ReplicaSet> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    let revision = object.metadata.annotations.as_ref()?.get(REVISION)?;
    let mut owned = around
        .replica_sets
        .iter()
        .filter(|set| is_owned_by(&set.metadata, uid(&object.metadata)));
    owned
        .find(|set| {
            set.metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(REVISION))
                == Some(revision)
        })
        .map(AsRef::as_ref)
}

fn stateful_set(object: &StatefulSet, around: &Surroundings) -> Assessment {
    let status = object.status.clone().unwrap_or_default();
    if !is_observed(object.metadata.generation, status.observed_generation) {
        return Waiting::because(NOT_OBSERVED);
    }
    let spec = object.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    let replaces_pods = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    let partition = strategy
        .and_then(|strategy| strategy.rolling_update.as_ref()?.partition)
        .unwrap_or(0);
    let revision = status.update_revision.as_deref();
    let is_current = |pod: &Arc<Pod>| {
        !replaces_pods || label(&pod.metadata, "controller-revision-hash") == revision
    };
    let own = uid(&object.metadata);
    let (pods, old): (Vec<_>, Vec<_>) = around.pods_of(own).cloned().partition(is_current);
    let updated = status.updated_replicas.unwrap_or(0);
    let is_updated = !replaces_pods || updated >= (wanted - partition).max(0);
    let ready = status.ready_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(ready);
    if is_updated && ready == wanted && available == wanted && status.replicas == wanted {
        let keeps = match old.len() {
            0 => None,
            count if partition > 0 => Some(format!(
                "keeps {count} of its pods at the old revision, as its `partition` asks"
            )),
            _ => None,
        };
        let waits = (!replaces_pods && updated < wanted).then(|| {
            "keeps pods at the old revision: its update strategy `OnDelete` waits until they are deleted"
                .to_owned()
        });
        return Assessment::Serving {
            pods,
            note: waits.or(keeps),
        };
    }
    // It replaces a pod only if the previous one is ready, so a broken pod of the old revision blocks it forever.
    let stuck = old
        .iter()
        .find(|pod| partition == 0 && !is_ready(pod) && !is_leaving(pod));
    let hint = stuck.map(|pod| {
        let pod = name(&pod.metadata);
        format!("the pod {pod} of the old revision is not ready and blocks the update: delete it")
    });
    Assessment::Waiting(Waiting {
        why: progress(ready_of(&pods), wanted, &pods),
        troubles: failed_create(own, around),
        pods,
        hint,
        ..Waiting::default()
    })
}

/// A ReplicaSet without a Deployment.
fn replica_set(object: &ReplicaSet, around: &Surroundings) -> Assessment {
    let status = object.status.clone().unwrap_or_default();
    if !is_observed(object.metadata.generation, status.observed_generation) {
        return Waiting::because(NOT_OBSERVED);
    }
    let wanted = object
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let own = uid(&object.metadata);
    let pods: Vec<_> = around.pods_of(own).cloned().collect();
    if status.replicas == wanted && status.available_replicas.unwrap_or(0) == wanted {
        return Assessment::serving(pods);
    }
    Assessment::Waiting(Waiting {
        why: progress(ready_of(&pods), wanted, &pods),
        troubles: failed_create(own, around),
        pods,
        ..Waiting::default()
    })
}

fn daemon_set(object: &DaemonSet, around: &Surroundings) -> Assessment {
    let status = object.status.clone().unwrap_or_default();
    if !is_observed(object.metadata.generation, status.observed_generation) {
        return Waiting::because(NOT_OBSERVED);
    }
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or(0);
    let available = status.number_available.unwrap_or(0);
    let own = uid(&object.metadata);
    let revisions = around
        .revisions
        .iter()
        .filter(|revision| is_owned_by(&revision.metadata, own));
    let newest = revisions.max_by_key(|revision| revision.revision);
    let hash = newest.and_then(|revision| label(&revision.metadata, "controller-revision-hash"));
    let pods: Vec<_> = around
        .pods_of(own)
        .filter(|pod| hash.is_some() && label(&pod.metadata, "controller-revision-hash") == hash)
        .cloned()
        .collect();
    let strategy = object
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref());
    let replaces_pods = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    if (updated == wanted || !replaces_pods) && available == wanted {
        let note = if wanted == 0 {
            Some("runs on no node: none has the labels and taints that its pods ask for")
        } else if updated < wanted {
            Some(
                "keeps pods at the old revision: its update strategy `OnDelete` waits until they are deleted",
            )
        } else {
            None
        };
        return Assessment::Serving {
            pods,
            note: note.map(str::to_owned),
        };
    }
    Assessment::Waiting(Waiting {
        why: progress(ready_of(&pods), wanted, &pods),
        troubles: failed_create(own, around),
        pods,
        ..Waiting::default()
    })
}

/// `1/2 ready; pod web-6c9f: ContainerCreating`
fn progress(ready: i32, wanted: i32, pods: &[Arc<Pod>]) -> String {
    let mut text = format!("{ready}/{wanted} ready");
    if let Some(pod) = pods.iter().find(|pod| !is_ready(pod)) {
        text = format!("{text}; pod {}: {}", name(&pod.metadata), doing(pod));
    }
    text
}
