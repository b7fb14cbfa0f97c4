//! How long the objects themselves allow until they are ready.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

use super::probes::probe_budget;

/// Time for pulling images, scheduling and starting, in addition.
const BESIDES: SignedDuration = SignedDuration::from_secs(60);

/// The maximum number of consecutive pods that count.
const IN_A_ROW: i64 = 10;

/// The default deadline of the Deployment controller.
const PROGRESS_DEADLINE: i64 = 600;

/// The deadline, or the time that the slowest object allows if that is most of the deadline or more. So the deadline
/// never cuts off what the objects still allow.
pub(super) fn extended(
    deadline: SignedDuration,
    objects: impl Iterator<Item = Value>,
) -> SignedDuration {
    let slowest = objects.map(|object| allowed(&object)).max();
    match slowest {
        Some(slowest) if slowest * 2 > deadline => deadline.max(slowest + BESIDES),
        _ => deadline,
    }
}

/// Zero for objects without such settings.
fn allowed(object: &Value) -> SignedDuration {
    let spec = &object["spec"];
    let number = |pointer: &str| spec.pointer(pointer).and_then(Value::as_i64);
    let seconds = SignedDuration::from_secs;
    let Some(pods) = spec.pointer("/template/spec") else {
        return SignedDuration::ZERO;
    };
    let Ok(pods) = serde_json::from_value::<PodSpec>(pods.clone()) else {
        return SignedDuration::ZERO;
    };
    match object["kind"].as_str() {
        Some("Job") => seconds(number("/activeDeadlineSeconds").unwrap_or(0)),
        Some("Deployment") => {
            let progress = number("/progressDeadlineSeconds").unwrap_or(0);
            let own = if progress > PROGRESS_DEADLINE {
                progress
            } else {
                0
            };
            // Old pods must go before new ones are created.
            let surge = spec.pointer("/strategy/rollingUpdate/maxSurge");
            let replaces = spec.pointer("/strategy/type").and_then(Value::as_str)
                == Some("Recreate")
                || surge.is_some_and(|surge| *surge == 0 || *surge == "0%");
            seconds(own).max(one(&pods, spec, replaces))
        }
        // One pod at a time, each after the previous one has ended.
        Some("StatefulSet") if spec["podManagementPolicy"] != "Parallel" => {
            in_a_row(one(&pods, spec, true), number("/replicas").unwrap_or(1))
        }
        Some("DaemonSet") => {
            let nodes = object.pointer("/status/desiredNumberScheduled");
            in_a_row(
                one(&pods, spec, true),
                nodes.and_then(Value::as_i64).unwrap_or(1),
            )
        }
        _ => one(&pods, spec, false),
    }
}

fn in_a_row(one: SignedDuration, count: i64) -> SignedDuration {
    let count = i32::try_from(count.clamp(1, IN_A_ROW)).unwrap_or(1);
    one.checked_mul(count).unwrap_or(one)
}

/// The time that one pod allows; nothing without a probe.
fn one(pods: &PodSpec, spec: &Value, replaces: bool) -> SignedDuration {
    let sidecars = pods.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|init| init.restart_policy.as_deref() == Some("Always"));
    let slowest = pods
        .containers
        .iter()
        .chain(sidecars)
        .map(probe_budget)
        .max();
    let slowest = slowest.unwrap_or_default();
    if slowest.is_zero() {
        return slowest;
    }
    let settles = spec["minReadySeconds"].as_i64().unwrap_or(0);
    let ends = pods.termination_grace_period_seconds.unwrap_or(30);
    let ends = if replaces { ends } else { 0 };
    slowest + SignedDuration::from_secs(settles + ends)
}
