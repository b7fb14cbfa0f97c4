//! How long what is awaited itself allows until it is ready.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

use super::probes::probe_budget;

/// Pulling images, scheduling and starting, beside what is allowed.
const BESIDES: SignedDuration = SignedDuration::from_secs(60);

/// How many pods that follow each other count, at most.
const IN_A_ROW: i64 = 10;

/// The deadline of the Deployment controller where nobody set another.
const PROGRESS_DEADLINE: i64 = 600;

/// The deadline, or what the slowest object allows where that needs most of it or more: no deadline cuts off what the
/// objects still allow.
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

/// Zero for objects that say nothing of it.
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
            // Old pods have to go before new ones come.
            let surge = spec.pointer("/strategy/rollingUpdate/maxSurge");
            let replaces = spec.pointer("/strategy/type").and_then(Value::as_str)
                == Some("Recreate")
                || surge.is_some_and(|surge| *surge == 0 || *surge == "0%");
            seconds(own).max(one(&pods, spec, replaces))
        }
        // One pod after the other, each after its predecessor has ended.
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

/// What one pod is allowed. Nothing, where it has no probe.
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
