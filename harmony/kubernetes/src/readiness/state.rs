//! The state of a pod.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition};

pub(super) fn is_ready(pod: &Pod) -> bool {
    is_true(pod, "Ready") && !is_leaving(pod)
}

pub(super) fn ready_of(pods: &[Arc<Pod>]) -> i32 {
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    i32::try_from(ready).unwrap_or(i32::MAX)
}

/// The number of restarts of its containers.
pub(super) fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.iter();
    let containers = status.flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}

/// Being deleted, evicted, or on a lost node: it says nothing about the revision.
pub(super) fn is_leaving(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let reason = status
        .and_then(|status| status.reason.as_deref())
        .unwrap_or_default();
    pod.metadata.deletion_timestamp.is_some()
        || matches!(
            reason,
            "Evicted"
                | "NodeLost"
                | "NodeShutdown"
                | "Preempting"
                | "Terminated"
                | "UnexpectedAdmissionError"
        )
        || is_true(pod, "DisruptionTarget")
}

pub(super) fn condition<'a>(pod: &'a Pod, wanted: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == wanted)
}

pub(super) fn is_true(pod: &Pod, wanted: &str) -> bool {
    condition(pod, wanted).is_some_and(|condition| condition.status == "True")
}

/// What a pod that is not ready is doing, in a few words: `ContainerCreating`.
pub(super) fn doing(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".into();
    }
    let Some(status) = &pod.status else {
        return "Pending".into();
    };
    let init = status.init_container_statuses.iter().flatten();
    let main = status.container_statuses.iter().flatten();
    for container in init.chain(main) {
        let Some(state) = &container.state else {
            continue;
        };
        if let Some(reason) = state
            .waiting
            .as_ref()
            .and_then(|waiting| waiting.reason.clone())
        {
            return reason;
        }
        if let Some(end) = &state.terminated
            && end.exit_code != 0
        {
            return format!(
                "{} (exit code {})",
                end.reason.as_deref().unwrap_or("ended"),
                end.exit_code
            );
        }
    }
    if status.container_statuses.is_none()
        && let Some(scheduled) = condition(pod, "PodScheduled")
        && scheduled.status == "False"
    {
        return scheduled
            .reason
            .clone()
            .unwrap_or_else(|| "not scheduled".into());
    }
    match status.phase.as_deref() {
        Some("Running") => "running, not ready".into(),
        Some(phase) => phase.to_owned(),
        None => "Pending".into(),
    }
}

pub(super) fn has_ended(pod: &Arc<Pod>) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The containers that run in parallel: main containers and sidecars.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.filter(|init| init.restart_policy.as_deref() == Some("Always"))
            .chain(&spec.containers)
    })
}

/// Whether all its containers run. One that has just ended has not been restarted yet.
pub(super) fn is_running(pod: &Pod) -> bool {
    containers(pod).all(|container| {
        let status = status_of(pod, &container.name);
        let state = status.and_then(|status| status.state.as_ref());
        state.is_some_and(|state| state.running.is_some())
    })
}

pub(super) fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let mut all = init.chain(status.container_statuses.iter().flatten());
    all.find(|status| status.name == container)
}
