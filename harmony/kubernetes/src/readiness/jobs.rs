//! Readiness of Jobs, and of Pods without a controller.

use std::sync::Arc;

use harmony_core::verify::FailureClass;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;
use super::observed::{Surroundings, name, uid};
use super::refusal::failed_create;
use super::state::{doing, has_ended, is_ready};

pub(super) fn job(object: &Job, around: &Surroundings) -> Assessment {
    let status = object.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let has = |wanted: &str| {
        conditions
            .iter()
            .find(|one| one.type_ == wanted && one.status == "True")
    };
    let is_suspended = object
        .spec
        .as_ref()
        .and_then(|spec| spec.suspend)
        .unwrap_or(false);
    if has("Complete").is_some() {
        return Assessment::Ready;
    }
    if is_suspended {
        return Assessment::noted("is suspended: nothing runs until it is resumed");
    }
    let own = uid(&object.metadata);
    let pods: Vec<_> = around.pods_of(own).cloned().collect();
    let wanted = object
        .spec
        .as_ref()
        .and_then(|spec| spec.completions)
        .unwrap_or(1);
    let succeeded = status.succeeded.unwrap_or(0);
    let failed = status.failed.unwrap_or(0);
    let running = pods.iter().find(|pod| !has_ended(pod));
    let mut why = format!("{succeeded}/{wanted} done");
    if failed > 0 {
        why = format!("{why}, {failed} failed");
    }
    if let Some(pod) = running {
        why = format!("{why}; pod {}: {}", name(&pod.metadata), doing(pod));
    }
    let mut troubles = failed_create(own, around);
    troubles.extend(
        has("Failed")
            .or_else(|| has("FailureTarget"))
            .map(|condition| {
                let reason = condition.reason.clone().unwrap_or_default();
                let message = condition.message.clone().unwrap_or_default();
                Finding::new(
                    FailureClass::JobFailed,
                    0,
                    format!("failed: {message}"),
                    format!("{reason}: {message}"),
                    "read the log of its pod above, and delete the Job before you run it again",
                )
            }),
    );
    if troubles.is_empty() {
        troubles.extend(failing(&pods, failed));
    }
    Assessment::Waiting(Waiting {
        why,
        pods,
        may_end: true,
        troubles,
        ..Waiting::default()
    })
}

/// Ready when it is there: its Jobs come in their time.
pub(super) fn cron_job(object: &Value) -> Assessment {
    match object["spec"]["suspend"] {
        Value::Bool(true) => {
            Assessment::noted("is suspended: it starts no Job until it is resumed")
        }
        _ => Assessment::Ready,
    }
}

pub(super) fn pod(object: &Pod) -> Assessment {
    let phase = object
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    // A hook of a chart is done when it has ended.
    let annotations = object.metadata.annotations.as_ref();
    let is_hook = annotations.is_some_and(|all| all.contains_key("helm.sh/hook"));
    if is_ready(object) && !is_hook {
        return Assessment::serving(vec![Arc::new(object.clone())]);
    }
    if phase == Some("Succeeded") {
        return Assessment::Ready;
    }
    let may_end = object
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref())
        != Some("Always");
    let why = doing(object);
    let mut troubles = Vec::new();
    if phase == Some("Failed") {
        let status = object.status.as_ref();
        let reason = status
            .and_then(|status| status.reason.clone())
            .unwrap_or_default();
        let message = status
            .and_then(|status| status.message.clone())
            .unwrap_or_default();
        troubles.push(Finding::new(
            FailureClass::CrashLoop,
            0,
            format!("failed: {why}"),
            format!("phase Failed {reason} {message}")
                .trim_end()
                .to_owned(),
            "read its log above",
        ));
    }
    Assessment::Waiting(Waiting {
        why,
        pods: vec![Arc::new(object.clone())],
        may_end,
        troubles,
        ..Waiting::default()
    })
}

/// Its runs fail. The Job decides how often it retries, so this is reported if the deadline comes first.
fn failing(pods: &[Arc<Pod>], failed: i32) -> Option<Finding> {
    let statuses = pods.iter().flat_map(|pod| {
        let status = pod.status.iter();
        status.flat_map(|status| status.container_statuses.iter().flatten())
    });
    let ends = statuses.flat_map(|container| {
        let runs = [&container.state, &container.last_state];
        let runs = runs.into_iter().flatten();
        runs.filter_map(|run| run.terminated.as_ref())
    });
    let code = ends.map(|end| end.exit_code).find(|code| *code != 0);
    if failed == 0 && code.is_none() {
        return None;
    }
    let code = code.map_or_else(String::new, |code| format!(" (exit code {code})"));
    // What the Job itself says in the end says it better.
    Some(Finding {
        grace: None,
        is_vague: true,
        ..Finding::new(
            FailureClass::JobFailed,
            0,
            format!("has not succeeded: its runs fail{code}"),
            format!("{failed} pods of it failed"),
            "read the log of its pod above; `backoffLimit` says how often it is tried again",
        )
    })
}
