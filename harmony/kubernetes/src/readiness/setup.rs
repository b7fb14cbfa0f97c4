//! Problems with the volumes and network of a pod. Only events report these.

use std::sync::Arc;

use harmony_core::verify::FailureClass;
use k8s_openapi::api::core::v1::{Event, Pod};

use super::container::{Finding, waits_for_kubelet};
use super::observed::{Surroundings, event_time, uid};

const MOUNT_GRACE: i64 = 20;
/// The old pod of a rollout may still hold the volume.
const ATTACH_GRACE: i64 = 60;
const SANDBOX_GRACE: i64 = 60;

/// How specific an event about a volume is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    /// The kubelet waits for something it does not name: it passes, or another event says the cause.
    Passing,
    /// Why the mount failed, in the words of the storage.
    Reason,
    /// The object, key or path that does not exist.
    Missing,
}

/// What keeps the pod from being set up: the most specific event, and of these the latest.
pub(super) fn not_set_up(pod: &Pod, around: &Surroundings) -> Option<Finding> {
    if pod.status.as_ref()?.phase.as_deref() != Some("Pending") {
        return None;
    }
    let events = around.events_of(uid(&pod.metadata));
    if is_set_up(pod, &events) {
        return None;
    }
    let newest = |wanted: &dyn Fn(&str) -> bool| {
        let mut events = events.iter();
        events.find(|event| event.reason.as_deref().is_some_and(wanted))
    };
    // The network is set up once the volumes are mounted.
    if let Some(event) = newest(&|reason| reason == "FailedCreatePodSandBox") {
        return Some(Finding::new(
            FailureClass::ContainerStart,
            SANDBOX_GRACE,
            "cannot be started, because the node cannot create its sandbox",
            seen(event),
            "check the network plug-in and the container runtime of the node",
        ));
    }
    let of_volumes = events.iter().rev().filter(|event| {
        matches!(
            event.reason.as_deref(),
            Some("FailedMount" | "FailedAttachVolume")
        )
    });
    // The latest event comes last, and `max` returns the last of equals.
    let telling = of_volumes.max_by_key(|event| telling(message(event)))?;
    Some(volume(telling))
}

/// Whether volumes and network are set up: earlier failures are over, however long the image takes.
fn is_set_up(pod: &Pod, events: &[&Arc<Event>]) -> bool {
    let conditions = pod.status.iter();
    let mut conditions = conditions.flat_map(|status| status.conditions.iter().flatten());
    let is_told = conditions.any(|condition| {
        condition.type_ == "PodReadyToStartContainers" && condition.status == "True"
    });
    // Servers before 1.29 have no such condition.
    let latest = |reasons: &[&str]| {
        let about = events.iter().filter(|event| {
            let reason = event.reason.as_deref().unwrap_or_default();
            reasons.contains(&reason)
        });
        about.filter_map(|event| event_time(event)).max()
    };
    let failed = latest(&[
        "FailedMount",
        "FailedAttachVolume",
        "FailedCreatePodSandBox",
    ]);
    let went_on = latest(&["Pulling", "Pulled", "Created", "Started"]);
    is_told || went_on > failed
}

fn volume(event: &Event) -> Finding {
    let message = message(event);
    match telling(message) {
        Telling::Missing => Finding::new(
            FailureClass::MissingReference,
            MOUNT_GRACE,
            format!("cannot mount a volume: {message}"),
            seen(event),
            "create the object that the volume refers to in the same namespace, or fix its name in the Score",
        ),
        Telling::Reason => Finding::new(
            FailureClass::MissingReference,
            if message.contains("Multi-Attach") {
                ATTACH_GRACE
            } else {
                MOUNT_GRACE
            },
            format!("cannot mount a volume: {message}"),
            seen(event),
            "fix the volume in the Score, or its storage",
        ),
        Telling::Passing => Finding {
            grace: None,
            is_vague: true,
            ..Finding::new(
                FailureClass::NotReady,
                0,
                format!("waits for its volumes: {message}"),
                seen(event),
                "look at the load of the node and the log of its kubelet, then run the same command again",
            )
        },
    }
}

fn telling(message: &str) -> Telling {
    const MISSING: [&str; 6] = [
        "not found",
        "references non-existent",
        "does not exist",
        "no such file or directory",
        "hostPath type check failed",
        "couldn't find key",
    ];
    // `unmounted volumes=[tls] ...: timed out` summarizes another event.
    if waits_for_kubelet(message) || message.contains("unmounted volumes=") {
        Telling::Passing
    } else if MISSING.iter().any(|words| message.contains(words)) {
        Telling::Missing
    } else {
        Telling::Reason
    }
}

fn message(event: &Event) -> &str {
    event.message.as_deref().unwrap_or_default()
}

fn seen(event: &Event) -> String {
    let reason = event.reason.as_deref().unwrap_or_default();
    format!("{reason}: {}", message(event))
}
