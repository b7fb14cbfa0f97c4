//! Diagnoses the pods of a workload.

use std::sync::Arc;

use harmony_core::verify::FailureClass;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::container::{Finding, examine};
use super::observed::{Surroundings, name, uid};
use super::probes::{never_ready, probe_kill};
use super::setup::not_set_up;
use super::state::{condition, is_leaving};

/// A finding and its location.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located {
    pub(super) pod: String,
    pub(super) pod_uid: String,
    /// `None` if it concerns the whole pod.
    pub(super) container: Option<String>,
    pub(super) finding: Finding,
}

/// Taints of nodes that are starting or going away, and volumes that are about to be bound.
const PASSING_PLACEMENT: [&str; 4] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "unbound immediate PersistentVolumeClaims",
];
const PLACEMENT_GRACE: i64 = 15;
const PASSING_PLACEMENT_GRACE: i64 = 60;

/// Everything that is wrong with the pod now, most likely cause first.
///
/// `may_end` is true for the pods of a Job, whose containers end when they are done, and whose crashes the Job counts.
pub(super) fn examine_pod(
    pod: &Arc<Pod>,
    around: &Surroundings,
    may_end: bool,
    now: Timestamp,
) -> Vec<Located> {
    let located = |container: Option<&str>, finding| Located {
        pod: name(&pod.metadata).to_owned(),
        pod_uid: uid(&pod.metadata).to_owned(),
        container: container.map(str::to_owned),
        finding,
    };
    if is_leaving(pod) {
        return Vec::new();
    }
    if let Some(finding) = unscheduled(pod, around) {
        return vec![located(None, finding)];
    }
    let mut found = Vec::new();
    let killed = probe_kill(pod, around, now);
    // The status of a container that a probe killed only says that it ended.
    let cause = |container: &str, finding: Finding| match &killed {
        Some((name, kill)) if name == container && finding.class == FailureClass::CrashLoop => {
            kill.clone()
        }
        _ => finding,
    };
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    for container in init.into_iter().flatten() {
        if let Some(finding) = examine(container, is_sidecar(pod, &container.name)) {
            let finding = cause(&container.name, finding);
            found.push(located(Some(&container.name), finding));
        }
    }
    let main = status.and_then(|status| status.container_statuses.as_ref());
    for container in main.into_iter().flatten() {
        let finding = examine(container, !may_end)
            .filter(|finding| !(may_end && finding.class == FailureClass::CrashLoop));
        if let Some(finding) = finding {
            let finding = cause(&container.name, finding);
            found.push(located(Some(&container.name), finding));
        }
    }
    if found.is_empty()
        && let Some((container, finding)) = killed
    {
        found.push(located(Some(&container), finding));
    }
    if found.is_empty() {
        found.extend(not_set_up(pod, around).map(|finding| located(None, finding)));
    }
    if found.is_empty() {
        found.extend(never_ready(pod, around, now).map(|finding| located(None, finding)));
    }
    found
}

fn is_sidecar(pod: &Pod, container: &str) -> bool {
    let containers = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref());
    let mut containers = containers.into_iter().flatten();
    containers
        .any(|init| init.name == container && init.restart_policy.as_deref() == Some("Always"))
}

fn unscheduled(pod: &Pod, around: &Surroundings) -> Option<Finding> {
    let scheduled = condition(pod, "PodScheduled")?;
    if scheduled.status != "False" || scheduled.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    let message = scheduled.message.clone().unwrap_or_default();
    // The scheduler names the missing claim and calls the pod unschedulable.
    if message.contains("persistentvolumeclaim \"") && message.contains("not found") {
        return Some(Finding::new(
            FailureClass::MissingReference,
            PLACEMENT_GRACE,
            format!("refers to a volume claim that does not exist: {message}"),
            format!("Unschedulable: {message}"),
            "create the claim in the same namespace, or fix its name in the Score",
        ));
    }
    let events = around.events_of(uid(&pod.metadata));
    let of_autoscaler = events.iter().find(|event| {
        matches!(
            event.reason.as_deref(),
            Some("TriggeredScaleUp" | "NotTriggerScaleUp")
        )
    });
    let scales_up =
        of_autoscaler.is_some_and(|event| event.reason.as_deref() == Some("TriggeredScaleUp"));
    let is_passing = PASSING_PLACEMENT
        .iter()
        .any(|words| message.contains(words));
    let grace = if is_passing {
        PASSING_PLACEMENT_GRACE
    } else {
        PLACEMENT_GRACE
    };
    let hint = if message.contains("Insufficient") {
        "reduce `resources.requests` of the pod, or add a larger node to the cluster"
    } else if message.contains("taint") {
        "add a toleration for the taint to the pod, or remove the taint from the node"
    } else if message.contains("selector") || message.contains("affinity") {
        "add the label to a node, or change the node selector or affinity of the pod"
    } else {
        "change the requirements of the pod, or the nodes"
    };
    let finding = Finding::new(
        FailureClass::Unschedulable,
        grace,
        format!("cannot be scheduled: {message}"),
        format!("Unschedulable: {message}"),
        hint,
    );
    Some(if scales_up {
        Finding {
            grace: None,
            ..finding
        }
    } else {
        finding
    })
}
