//! Readiness of autoscalers and disruption budgets.

use harmony_core::verify::FailureClass;
use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::Selector;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;
use super::observed::Surroundings;
use super::selection;

/// The controller looks at a new autoscaler after its period, which is 15 s.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(40);

/// It has a target. Whether it gets metrics depends on the cluster, and may change later.
pub(super) fn autoscaler(object: &HorizontalPodAutoscaler, around: &Surroundings) -> Assessment {
    let Some(spec) = &object.spec else {
        return Assessment::Ready;
    };
    let target = &spec.scale_target_ref;
    let is_awaited = around.workloads.iter().any(|workload| {
        workload["kind"] == target.kind.as_str()
            && workload["metadata"]["name"] == target.name.as_str()
    });
    if is_awaited {
        return Assessment::Ready;
    }
    let conditions = object.status.iter();
    let mut conditions = conditions.flat_map(|status| status.conditions.iter().flatten());
    let able = conditions.find(|condition| condition.type_ == "AbleToScale");
    let Some(able) = able else {
        return Assessment::Silent { grace: FIRST_LOOK };
    };
    if able.status != "False" || able.reason.as_deref() != Some("FailedGetScale") {
        return Assessment::Ready;
    }
    let message = able.message.clone().unwrap_or_default();
    let what = format!(
        "scales {} {}, which cannot be found",
        target.kind, target.name
    );
    let hint = "name a workload of the same namespace in `scaleTargetRef`";
    let finding = Finding::new(
        FailureClass::MissingReference,
        0,
        what.clone(),
        format!("FailedGetScale: {message}"),
        hint,
    );
    Waiting::with(what, finding)
}

/// It selects something.
pub(super) fn disruption_budget(object: &PodDisruptionBudget, around: &Surroundings) -> Assessment {
    let selector = object.spec.as_ref().and_then(|spec| spec.selector.clone());
    let selector = selector.map(Selector::try_from);
    // An empty selector selects all pods; the server judges invalid ones.
    let Some(Ok(selector)) = selector.filter(|selector| {
        selector
            .as_ref()
            .is_ok_and(|selector| !selector.selects_all())
    }) else {
        return Assessment::Ready;
    };
    let selects = !selection::pods(&selector, around).is_empty()
        || !selection::workloads(&selector, around).is_empty();
    if selects {
        return Assessment::Ready;
    }
    let hint = "let the selector of the disruption budget equal labels of the pod template";
    let finding = selection::nothing(&selector, around, hint);
    Waiting::with(format!("no pod has its labels {selector}"), finding)
}
