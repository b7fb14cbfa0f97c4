//! How long the probes of a workload themselves allow it to become ready.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

use super::pods::probe_budget;

/// Pulling images, scheduling and starting, beside what the probes allow.
const BESIDES: SignedDuration = SignedDuration::from_secs(60);

/// The deadline, or what the probes of the slowest object allow where that is longer: no deadline cuts off what they
/// still allow.
pub(super) fn extended(
    deadline: SignedDuration,
    objects: impl Iterator<Item = Value>,
) -> SignedDuration {
    let slowest = objects.map(|object| probes_allow(&object)).max();
    match slowest {
        Some(slowest) if slowest > deadline => slowest + BESIDES,
        _ => deadline,
    }
}

/// Zero for objects without pods. A StatefulSet starts one pod after the other unless it says otherwise.
fn probes_allow(object: &Value) -> SignedDuration {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let template = spec.pointer("/template/spec");
    let Some(pods) = template.and_then(|pods| serde_json::from_value::<PodSpec>(pods.clone()).ok())
    else {
        return SignedDuration::ZERO;
    };
    let slowest = pods.containers.iter().map(probe_budget).max();
    let slowest = slowest.unwrap_or(SignedDuration::ZERO);
    if slowest.is_zero() {
        return SignedDuration::ZERO;
    }
    let settles = spec
        .get("minReadySeconds")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let is_ordered = object.get("kind").and_then(Value::as_str) == Some("StatefulSet")
        && spec.get("podManagementPolicy").and_then(Value::as_str) != Some("Parallel");
    let replicas = spec.get("replicas").and_then(Value::as_i64).unwrap_or(1);
    let in_a_row = if is_ordered { replicas.clamp(1, 10) } else { 1 };
    let one = slowest + SignedDuration::from_secs(settles);
    let all = one.checked_mul(i32::try_from(in_a_row).unwrap_or(1));
    all.unwrap_or(one)
}
