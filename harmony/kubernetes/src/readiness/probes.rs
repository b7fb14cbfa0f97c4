//! What the probes of a pod report, and how long they may take.

use std::collections::BTreeSet;
use std::sync::Arc;

use harmony_core::verify::FailureClass;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Event, Pod, Probe};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::Finding;
use super::observed::{Surroundings, event_time, uid};
use super::state::{condition, containers, is_true, status_of};

/// A readiness probe that never passed counts as failed after this many times its own limit, but not before one minute:
/// many programs need that long to start and have no startup probe.
const BUDGETS: i32 = 3;
const FLOOR: SignedDuration = SignedDuration::from_secs(60);
/// The same for a probe that asks a port which nobody names, although the container or its Services name others.
const UNDECLARED_FLOOR: SignedDuration = SignedDuration::from_secs(20);
/// The same for a port name that the container does not have, which the pod itself shows.
const MISNAMED_GRACE: i64 = 5;
/// The minimum and the maximum time a pod must stay ready before that counts.
const PROVING: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(3), SignedDuration::from_secs(5));
/// The server's times are whole seconds, and clocks differ.
const ROUNDING: SignedDuration = SignedDuration::from_secs(2);
/// The maximum wait for the first result of a liveness probe. A probe that starts later is not waited for; a failure
/// that was seen always counts.
const FIRST_ANSWER: SignedDuration = SignedDuration::from_secs(15);
/// A probe that could kill within this time is waited for until then.
const FIRST_KILL: SignedDuration = SignedDuration::from_secs(10);
/// The time that a busy kubelet needs to act on a probe and to report it.
const REPORTING: SignedDuration = SignedDuration::from_secs(3);

/// How long a pod must stay ready: as long as its readiness probes may fail unnoticed; without a probe, as long as a
/// program takes that crashes at start.
pub(super) fn proving_time(pod: &Pod) -> SignedDuration {
    let times = containers(pod).map(|container| match &container.readiness_probe {
        Some(probe) => failing_time(probe).clamp(PROVING.0, PROVING.1),
        None => PROVING.1,
    });
    times.max().unwrap_or_default()
}

/// Whether it became ready so recently that it may be just before a crash.
pub(super) fn is_young(pod: &Pod, now: Timestamp) -> bool {
    let since = condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    since.is_none_or(|since| now.duration_since(since.0) <= proving_time(pod) + ROUNDING)
}

/// Whether a liveness probe may still kill a ready container: it has no result yet, or it is failing.
pub(super) fn liveness_is_undecided(pod: &Pod, around: &Surroundings, now: Timestamp) -> bool {
    containers(pod).any(|container| {
        let Some(probe) = &container.liveness_probe else {
            return false;
        };
        let Some(started) = status_of(pod, &container.name).and_then(started) else {
            return false;
        };
        let failing = failing_time(probe);
        let failed = last_failure(pod, around, container, started, "Liveness");
        // The kubelet needs a moment to act on the last failure.
        if failed.is_some_and(|failed| now < failed + failing + REPORTING) {
            return true;
        }
        let begins = begins(pod, container, probe, started);
        let answers = begins + period(probe) + seconds(probe.timeout_seconds, 1) + REPORTING;
        let kills = begins + failing + REPORTING;
        let waits_until =
            |end: Timestamp, at_most| end.duration_since(started) <= at_most && now < end;
        waits_until(answers, FIRST_ANSWER) || waits_until(kills, FIRST_KILL + REPORTING)
    })
}

/// When a liveness probe first runs: a startup probe delays it until the container has started.
fn begins(pod: &Pod, container: &Container, probe: &Probe, started: Timestamp) -> Timestamp {
    let delayed = started + seconds(probe.initial_delay_seconds, 0);
    let ready = condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    match (&container.startup_probe, ready) {
        (Some(_), Some(ready)) => delayed.max(ready.0),
        _ => delayed,
    }
}

/// A container that the kubelet killed because a probe failed, and that is not better now. Its status only says that it
/// ended, if anything.
pub(super) fn probe_kill(
    pod: &Pod,
    around: &Surroundings,
    now: Timestamp,
) -> Option<(String, Finding)> {
    let events = around.events_of(uid(&pod.metadata));
    containers(pod).find_map(|container| {
        let status = status_of(pod, &container.name)?;
        let start = format!("Container {} failed ", container.name);
        let kill = events.iter().find(|event| {
            let message = message(event);
            message.starts_with(&start)
                && (message.contains("liveness probe") || message.contains("startup probe"))
        })?;
        let is_liveness = message(kill).contains("liveness probe");
        let probe = if is_liveness { "Liveness" } else { "Startup" };
        let last = status.last_state.as_ref();
        let last = last.and_then(|state| state.terminated.as_ref());
        // It may have been killed in an earlier run, and have ended by itself in the last one.
        let was_this = last
            .and_then(|last| last.started_at.as_ref())
            .zip(event_time(kill))
            .is_none_or(|(started, killed)| killed >= started.0);
        let failed = started(status)
            .and_then(|since| last_failure(pod, around, container, since, probe));
        let asked = if is_liveness {
            &container.liveness_probe
        } else {
            &container.startup_probe
        };
        // One failure long ago was a passing one.
        let fails_again = failed
            .zip(asked.as_ref())
            .is_some_and(|(failed, asked)| now < failed + failing_time(asked) + REPORTING);
        let is_held_back = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
        let counts = match status.restart_count {
            0 => false,
            1 => fails_again || is_held_back,
            _ => fails_again || is_held_back || !status.ready,
        };
        if !was_this || !counts {
            return None;
        }
        let why = events.iter().find(|event| {
            event.reason.as_deref() == Some("Unhealthy") && message(event).starts_with(probe)
        });
        let why = why.map(|event| message(event)).unwrap_or_default();
        let seen = format!("{}; {why}", message(kill));
        let name = probe.to_lowercase();
        let finding = Finding::new(
            FailureClass::NotReady,
            0,
            format!("is killed because its {name} probe fails"),
            seen.trim_end_matches("; "),
            format!(
                "make the {name} probe ask the right port and path, or give the program more time with a startup probe"
            ),
        );
        Some((container.name.clone(), finding))
    })
}

/// It runs, but its readiness probe never passed.
pub(super) fn never_ready(pod: &Pod, around: &Surroundings, now: Timestamp) -> Option<Finding> {
    let phase = pod.status.as_ref()?.phase.as_deref();
    if phase != Some("Running") || is_true(pod, "Ready") {
        return None;
    }
    let (container, started) = containers(pod).find_map(|container| {
        let status = status_of(pod, &container.name).filter(|status| !status.ready)?;
        Some((container, started(status)?))
    })?;
    if let Some(finding) = misnamed_port(container) {
        return Some(finding);
    }
    let events = around.events_of(uid(&pod.metadata));
    let unhealthy = events.iter().find(|event| {
        event.reason.as_deref() == Some("Unhealthy")
            && is_about(event, container)
            && event_time(event).is_some_and(|time| time >= started)
    })?;
    let said = message(unhealthy).to_owned();
    let undeclared = asked_port(container, &said)
        .filter(|_| said.contains("connection refused"))
        .filter(|port| is_stray(*port, container, pod, around));
    let budget = probe_budget(container);
    let (patience, hint) = match undeclared {
        Some(port) => (
            budget.max(UNDECLARED_FLOOR),
            format!(
                "nothing listens on port {port}, and the container and its Services name {}: let the probe ask the right port",
                shown(named_ports(container, pod, around))
            ),
        ),
        None => (
            (budget * BUDGETS).max(FLOOR),
            "fix the port and path of the readiness probe, or check in the log what the program is waiting for"
                .to_owned(),
        ),
    };
    let finding = Finding::new(
        FailureClass::NotReady,
        0,
        format!("runs but is not ready: {said}"),
        said,
        hint,
    );
    let is_over = now.duration_since(started) >= patience;
    Some(if is_over {
        finding
    } else {
        // It may only be starting.
        Finding {
            grace: None,
            is_vague: true,
            ..finding
        }
    })
}

/// A probe on a port name that the container does not have never gets an answer.
fn misnamed_port(container: &Container) -> Option<Finding> {
    let probes = [
        ("startup", &container.startup_probe),
        ("readiness", &container.readiness_probe),
    ];
    probes.into_iter().find_map(|(which, probe)| {
        let IntOrString::String(name) = port_of(probe.as_ref()?)? else {
            return None;
        };
        let mut ports = container.ports.iter().flatten();
        let is_there = ports.any(|port| port.name.as_ref() == Some(name));
        if is_there || name.parse::<u16>().is_ok() {
            return None;
        }
        let what = format!(
            "has a {which} probe that asks the port `{name}`, which container {} does not have",
            container.name
        );
        Some(Finding::new(
            FailureClass::NotReady,
            MISNAMED_GRACE,
            what,
            format!(
                "{which}Probe port {name}; the container declares {}",
                declared(container)
            ),
            "give the container's port that name, or let the probe name one that it has",
        ))
    })
}

fn port_of(probe: &Probe) -> Option<&IntOrString> {
    let http = probe.http_get.as_ref().map(|http| &http.port);
    http.or_else(|| probe.tcp_socket.as_ref().map(|tcp| &tcp.port))
}

/// The port number in the result of a probe.
fn asked_port(container: &Container, said: &str) -> Option<i32> {
    let probe = if said.starts_with("Startup") {
        &container.startup_probe
    } else {
        &container.readiness_probe
    };
    match port_of(probe.as_ref()?)? {
        IntOrString::Int(port) => Some(*port),
        IntOrString::String(text) => text.parse().ok(),
    }
}

/// Whether anybody names another port of the pod and nobody this one: the container, or a Service that leads to it.
fn is_stray(port: i32, container: &Container, pod: &Pod, around: &Surroundings) -> bool {
    let mut named = named_ports(container, pod, around).peekable();
    named.peek().is_some() && !named.any(|other| other == port)
}

fn named_ports<'a>(
    container: &'a Container,
    pod: &'a Pod,
    around: &'a Surroundings,
) -> impl Iterator<Item = i32> + 'a {
    let declared = container.ports.iter().flatten();
    let declared = declared.map(|port| port.container_port);
    let leads_here = move |slice: &&Arc<EndpointSlice>| {
        slice.endpoints.iter().any(|endpoint| {
            let target = endpoint.target_ref.as_ref();
            target.is_some_and(|target| target.uid == pod.metadata.uid)
        })
    };
    let slices = around.endpoints.iter().filter(leads_here);
    let targeted = slices.flat_map(|slice| slice.ports.iter().flatten());
    declared.chain(targeted.filter_map(|port| port.port))
}

fn shown(ports: impl Iterator<Item = i32>) -> String {
    let ports: BTreeSet<i32> = ports.collect();
    let ports: Vec<String> = ports.iter().map(i32::to_string).collect();
    format!("port {}", ports.join(", "))
}

fn declared(container: &Container) -> String {
    let ports = container.ports.iter().flatten();
    let shown = ports.map(|port| match &port.name {
        Some(name) => format!("{} ({name})", port.container_port),
        None => port.container_port.to_string(),
    });
    let shown: Vec<String> = shown.collect();
    match shown.as_slice() {
        [] => "no port".into(),
        [one] => format!("the port {one}"),
        more => format!("the ports {}", more.join(", ")),
    }
}

/// How long the probes of a container allow it to become ready.
pub(super) fn probe_budget(container: &Container) -> SignedDuration {
    let probes = [&container.startup_probe, &container.readiness_probe];
    let allowed = probes
        .into_iter()
        .flatten()
        .map(|probe| seconds(probe.initial_delay_seconds, 0) + failing_time(probe));
    allowed.sum()
}

/// How long a probe fails before it takes effect.
fn failing_time(probe: &Probe) -> SignedDuration {
    period(probe) * probe.failure_threshold.unwrap_or(3).max(1)
}

fn period(probe: &Probe) -> SignedDuration {
    seconds(probe.period_seconds, 10)
}

fn seconds(value: Option<i32>, default: i32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(value.unwrap_or(default)))
}

/// Since when a container runs.
fn started(status: &ContainerStatus) -> Option<Timestamp> {
    let running = status.state.as_ref()?.running.as_ref()?;
    Some(running.started_at.as_ref()?.0)
}

/// When a probe of that kind last failed since the container started.
fn last_failure(
    pod: &Pod,
    around: &Surroundings,
    container: &Container,
    since: Timestamp,
    probe: &str,
) -> Option<Timestamp> {
    let events = around.events_of(uid(&pod.metadata));
    let failures = events.iter().filter(|event| {
        event.reason.as_deref() == Some("Unhealthy")
            && message(event).starts_with(probe)
            && is_about(event, container)
    });
    failures
        .filter_map(|event| event_time(event))
        .filter(|time| *time >= since)
        .max()
}

/// `spec.containers{app}`; an event without a container is about any.
fn is_about(event: &Event, container: &Container) -> bool {
    let path = event.involved_object.field_path.as_deref();
    path.is_none_or(|path| path.ends_with(&format!("{{{}}}", container.name)))
}

fn message(event: &Event) -> &str {
    event.message.as_deref().unwrap_or_default()
}
