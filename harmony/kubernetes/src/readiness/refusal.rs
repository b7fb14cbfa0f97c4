//! The server refuses to create the pods of a workload.

use harmony_core::verify::FailureClass;

use super::container::Finding;
use super::observed::Surroundings;

/// The server refused to create pods: quota, policy, a missing service account.
pub(super) fn pods_refused(message: &str, frees_quota: bool) -> Finding {
    let is_quota = message.contains("exceeded quota");
    let hint = if is_quota {
        "increase the ResourceQuota of the namespace, or reduce the requests of the pods"
    } else if message.contains("serviceaccount") {
        "create the ServiceAccount in the same namespace, or fix its name in the Score"
    } else {
        "change the pod template so that the policies of the namespace allow it"
    };
    let what = format!("cannot create pods: {message}");
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

/// StatefulSets, DaemonSets and Jobs report refused pods only as events.
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
