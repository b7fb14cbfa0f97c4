//! What is wrong with the pods of a workload, and what they are doing.

use std::sync::Arc;

use harmony_core::verify::FailureClass;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition, Probe};

use super::container::{Finding, examine};
use super::observed::{Surroundings, event_time, name, uid};
use super::setup::not_set_up;

/// A finding, and where it was made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located {
    pub(super) pod: String,
    pub(super) pod_uid: String,
    /// `None` for what befalls the whole pod.
    pub(super) container: Option<String>,
    pub(super) finding: Finding,
}

/// Taints that a node has in its first and last seconds, and volumes that are about to be bound.
const PASSING_PLACEMENT: [&str; 4] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "unbound immediate PersistentVolumeClaims",
];
const PLACEMENT_GRACE: i64 = 15;
const PASSING_PLACEMENT_GRACE: i64 = 60;
/// A pod that has been ready for that long, by the server's clock in whole seconds, is no news.
const SETTLED: SignedDuration = SignedDuration::from_secs(4);
/// A readiness probe that never passed counts after this many times its own budget, but not before a minute.
const PROBE_BUDGETS: i32 = 3;
const PROBE_FLOOR: SignedDuration = SignedDuration::from_secs(60);

/// Whether a pod serves.
pub(super) fn is_ready(pod: &Pod) -> bool {
    is_true(pod, "Ready") && !is_leaving(pod)
}

pub(super) fn ready_of(pods: &[Arc<Pod>]) -> i32 {
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    i32::try_from(ready).unwrap_or(i32::MAX)
}

/// Whether "ready" may still turn out to be only the moment between start and crash: a container without a readiness
/// probe counts as ready as soon as it runs.
pub(super) fn is_young(pod: &Pod, now: Timestamp) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let is_unprobed = containers
        .into_iter()
        .any(|container| container.readiness_probe.is_none());
    let since = condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    let is_old = since.is_some_and(|since| now.duration_since(since.0) > SETTLED);
    is_unprobed && !is_old
}

/// Longest time that a deploy waits for a liveness probe to prove itself. Probes that need longer are the majority, and
/// hardly ever wrong; of these only a failure that was seen already counts.
const LIVENESS_PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// Whether a liveness probe may still kill a container that is ready: it has not had the time to, or it is failing.
pub(super) fn liveness_is_undecided(pod: &Pod, around: &Surroundings, now: Timestamp) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses = pod.status.iter();
    let statuses: Vec<_> = statuses
        .flat_map(|status| status.container_statuses.iter().flatten())
        .collect();
    let events = around.events_of(uid(&pod.metadata));
    containers.into_iter().any(|container| {
        let Some(probe) = &container.liveness_probe else {
            return false;
        };
        let started = statuses
            .iter()
            .find(|status| status.name == container.name)
            .and_then(|status| status.state.as_ref()?.running.as_ref()?.started_at.as_ref());
        let Some(started) = started else {
            return false;
        };
        let budget = SignedDuration::from_secs(allowance(probe));
        let age = now.duration_since(started.0);
        let is_failing = events.iter().any(|event| {
            let message = event.message.as_deref().unwrap_or_default();
            event.reason.as_deref() == Some("Unhealthy")
                && message.starts_with("Liveness")
                && event_time(event).is_some_and(|time| time >= started.0)
        });
        // The kubelet needs a moment to act on the last failure.
        let undecided = age < budget + SignedDuration::from_secs(1);
        undecided && (is_failing || budget <= LIVENESS_PATIENCE)
    })
}

/// How often its containers were started again.
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

fn condition<'a>(pod: &'a Pod, wanted: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == wanted)
}

fn is_true(pod: &Pod, wanted: &str) -> bool {
    condition(pod, wanted).is_some_and(|condition| condition.status == "True")
}

/// Everything that is wrong with the pod right now, the likeliest root first.
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
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    for container in init.into_iter().flatten() {
        if let Some(finding) = examine(container, is_sidecar(pod, &container.name)) {
            found.push(located(Some(&container.name), finding));
        }
    }
    let main = status.and_then(|status| status.container_statuses.as_ref());
    for container in main.into_iter().flatten() {
        let finding = examine(container, !may_end)
            .filter(|finding| !(may_end && finding.class == FailureClass::CrashLoop));
        if let Some(finding) = finding {
            found.push(located(Some(&container.name), finding));
        }
    }
    if found.is_empty() {
        found.extend(
            probe_kill(pod, around)
                .map(|(container, finding)| located(container.as_deref(), finding)),
        );
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
    let scales_up = around
        .events_of(uid(&pod.metadata))
        .iter()
        .any(|event| event.reason.as_deref() == Some("TriggeredScaleUp"));
    let is_passing = PASSING_PLACEMENT
        .iter()
        .any(|words| message.contains(words));
    let grace = if is_passing {
        PASSING_PLACEMENT_GRACE
    } else {
        PLACEMENT_GRACE
    };
    let hint = if message.contains("Insufficient") {
        "lower `resources.requests` of the pod, or give the cluster a larger node"
    } else if message.contains("taint") {
        "give the pod a toleration for the taint, or remove the taint from the node"
    } else if message.contains("selector") || message.contains("affinity") {
        "label a node as the pod asks, or change the pod's node selector or affinity"
    } else {
        "change what the pod asks of a node, or the nodes"
    };
    let finding = Finding::new(
        FailureClass::Unschedulable,
        grace,
        format!("fits on no node: {message}"),
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

/// The kubelet kills a container whose liveness or startup probe fails; the container itself only shows exit code 137 or
/// 143 then, if anything.
fn probe_kill(pod: &Pod, around: &Surroundings) -> Option<(Option<String>, Finding)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let killed = statuses
        .iter()
        .find(|status| status.restart_count >= 2 && !status.ready)?;
    let events = around.events_of(uid(&pod.metadata));
    let kill = events.iter().find(|event| {
        let message = event.message.as_deref().unwrap_or_default();
        message.contains("failed liveness probe") || message.contains("failed startup probe")
    })?;
    let why = events
        .iter()
        .find(|event| event.reason.as_deref() == Some("Unhealthy"));
    let seen = [Some(kill), why]
        .into_iter()
        .flatten()
        .filter_map(|event| event.message.clone())
        .collect::<Vec<_>>()
        .join("; ");
    let finding = Finding::new(
        FailureClass::NotReady,
        0,
        "is killed because its liveness or startup probe fails",
        seen,
        "make the probe ask the right port and path, or give the program more time with a startup probe",
    );
    Some((Some(killed.name.clone()), finding))
}

/// Runs, and its readiness probe never passed.
fn never_ready(pod: &Pod, around: &Surroundings, now: Timestamp) -> Option<Finding> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") || is_true(pod, "Ready") {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let statuses = status.container_statuses.as_ref()?;
    let (container, started) =
        statuses
            .iter()
            .filter(|status| !status.ready)
            .find_map(|status| {
                let running = status.state.as_ref()?.running.as_ref()?;
                let container = spec
                    .containers
                    .iter()
                    .find(|container| container.name == status.name)?;
                Some((container, running.started_at.as_ref()?.0))
            })?;
    let events = around.events_of(uid(&pod.metadata));
    let unhealthy = events.iter().find(|event| {
        event.reason.as_deref() == Some("Unhealthy")
            && event_time(event).is_some_and(|time| time >= started)
    })?;
    let patience = (probe_budget(container) * PROBE_BUDGETS).max(PROBE_FLOOR);
    let message = unhealthy.message.clone().unwrap_or_default();
    let finding = Finding::new(
        FailureClass::NotReady,
        0,
        format!("runs but is not ready: {message}"),
        message,
        "make the readiness probe ask the right port and path, or read the log for what the program waits for",
    );
    let is_over = now.duration_since(started) >= patience;
    Some(if is_over {
        finding
    } else {
        Finding {
            grace: None,
            ..finding
        }
    })
}

/// How long the probes of a container themselves allow it to become ready.
pub(super) fn probe_budget(container: &Container) -> SignedDuration {
    let probes = [&container.startup_probe, &container.readiness_probe];
    SignedDuration::from_secs(probes.into_iter().flatten().map(allowance).sum())
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

/// How many seconds of failures a probe allows before it acts.
fn allowance(probe: &Probe) -> i64 {
    let period = i64::from(probe.period_seconds.unwrap_or(10));
    let failures = i64::from(probe.failure_threshold.unwrap_or(3));
    i64::from(probe.initial_delay_seconds.unwrap_or(0)) + period * failures
}
