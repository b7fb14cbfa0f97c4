//! Collects more evidence of a failure: the latest events and the end of the log.

use std::sync::Arc;

use harmony_core::verify::{FailureClass, Verdict};
use harmony_types::Namespace;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, LogParams};
use tokio::time::timeout;

use super::observed::event_time;
use super::tracker::{Culprit, Failure};
use crate::connection::{Connection, REQUEST_TIMEOUT};

const LOG_LINES: i64 = 20;
const LOG_BYTES: i64 = 16 * 1024;
const EVENTS: usize = 5;

/// Where a failure was found; reading logs needs the namespace.
pub(super) struct Located {
    pub(super) namespace: Option<Namespace>,
    pub(super) failure: Failure,
    pub(super) events: Vec<Arc<Event>>,
}

/// The verdict with all evidence. Evidence that cannot be read is left out, so that it never hides the failure.
pub(super) async fn gather(connection: &Connection, located: Located) -> Verdict {
    let Located {
        namespace,
        failure,
        events,
    } = located;
    let mut verdict = failure.verdict;
    if let Some(culprit) = &failure.culprit {
        verdict.evidence.extend(events_about(&events, culprit));
        if let Some(namespace) = &namespace
            && has_log(verdict.class)
        {
            let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace.as_str());
            let log = log_of(&pods, culprit).await;
            let of_previous = log.as_ref().is_some_and(|log| log.previous);
            verdict
                .evidence
                .extend(log.into_iter().flat_map(|log| log.lines));
            let command = log_command(namespace.as_str(), culprit, of_previous);
            verdict.hints.push(command);
        }
    }
    verdict
}

/// A container that never ran has no log.
fn has_log(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::CrashLoop
            | FailureClass::OutOfMemory
            | FailureClass::NotReady
            | FailureClass::JobFailed
            | FailureClass::ContainerStart
    )
}

/// The latest events about the pod, oldest first, without those that report success.
fn events_about(events: &[Arc<Event>], culprit: &Culprit) -> Vec<String> {
    let mut about: Vec<_> = events
        .iter()
        .filter(|event| event.involved_object.uid.as_deref() == Some(&culprit.uid))
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .collect();
    about.sort_by_key(|event| event_time(event));
    let skip = about.len().saturating_sub(EVENTS);
    let text = |event: &&Arc<Event>| {
        let reason = event.reason.as_deref().unwrap_or_default();
        let message = event.message.as_deref().unwrap_or_default().trim_end();
        match event.count {
            Some(count) if count > 1 => format!("event {reason} ({count} times): {message}"),
            _ => format!("event {reason}: {message}"),
        }
    };
    about.iter().skip(skip).map(text).collect()
}

/// The end of a container's log, with a heading.
struct LogEnd {
    /// Whether it belongs to the previous run.
    previous: bool,
    lines: Vec<String>,
}

/// The last lines of the failed run: the previous run if the container was restarted or waits for it.
async fn log_of(pods: &Api<Pod>, culprit: &Culprit) -> Option<LogEnd> {
    let pod = timeout(REQUEST_TIMEOUT, pods.get_opt(&culprit.pod)).await;
    let pod = pod.ok()?.ok()??;
    let container = culprit.container.clone().or_else(|| first_restless(&pod))?;
    let was_restarted =
        statuses(&pod).any(|status| status.name == container && status.restart_count > 0);
    let is_running = statuses(&pod).any(|status| {
        status.name == container
            && status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
    });
    // A container that waits for its next start still has the log of its last run as the current one.
    let tries = if was_restarted && is_running {
        [true, false]
    } else {
        [false, true]
    };
    for previous in tries {
        let parameters = LogParams {
            container: Some(container.clone()),
            previous,
            tail_lines: Some(LOG_LINES),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        let log = timeout(REQUEST_TIMEOUT, pods.logs(&culprit.pod, &parameters)).await;
        let Ok(Ok(log)) = log else { continue };
        let written: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        if written.is_empty() {
            continue;
        }
        let run = if previous { " (its previous run)" } else { "" };
        let end = match written.len() {
            1 => "last line".to_owned(),
            many => format!("last {many} lines"),
        };
        let mut lines = vec![format!("log of container {container}{run}, {end}:")];
        lines.extend(written.into_iter().map(|line| format!("  {line}")));
        return Some(LogEnd { previous, lines });
    }
    Some(LogEnd {
        previous: false,
        lines: vec![format!("container {container} wrote no log")],
    })
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &k8s_openapi::api::core::v1::ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// The container that is not ready, if the failure names none.
fn first_restless(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let main = status.container_statuses.as_ref()?;
    let restless = main.iter().find(|status| !status.ready).or(main.first())?;
    Some(restless.name.clone())
}

fn log_command(namespace: &str, culprit: &Culprit, of_previous: bool) -> String {
    let container = culprit
        .container
        .as_ref()
        .map(|name| format!(" -c {name}"))
        .unwrap_or_default();
    format!(
        "the whole log: `kubectl -n {namespace} logs {}{container}{}`",
        culprit.pod,
        if of_previous { " --previous" } else { "" },
    )
}
