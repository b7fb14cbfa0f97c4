//! The server refuses to make the pods of a workload.

use harmony_core::verify::FailureClass;

use super::container::Finding;
use super::observed::Surroundings;

/// The server refused to make pods: quota, policy, a missing account.
pub(super) fn pods_refused(message: &str, frees_quota: bool) -> Finding {
    let is_quota = message.contains("exceeded quota");
    let hint = if is_quota {
        "raise the namespace's ResourceQuota, or lower what the pods request"
    } else if message.contains("serviceaccount") {
        "create the ServiceAccount in the same namespace, or mend its name in the Score"
    } else {
        "change the pod template so that the namespace's policies let it in"
    };
    let what = format!("gets no pods: {message}");
    let finding = Finding::new(FailureClass::PodsRefused, 5, what, message, hint);
    if is_quota && frees_quota {
        Finding {
            grace: None,
            ..finding
        }
    } else {
        finding
    }
}

/// StatefulSets, DaemonSets and Jobs tell of refused pods by events only.
pub(super) fn failed_create(own: &str, around: &Surroundings) -> Vec<Finding> {
    let events = around.events_of(own);
    let newest = events.iter().find(|event| {
        matches!(
            event.reason.as_deref(),
            Some("FailedCreate" | "SuccessfulCreate")
        )
    });
    let refused = newest.filter(|event| event.reason.as_deref() == Some("FailedCreate"));
    refused
        .map(|event| pods_refused(event.message.as_deref().unwrap_or_default(), false))
        .into_iter()
        .collect()
}
