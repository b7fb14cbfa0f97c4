//! Readiness of custom resources, by the conventions of most controllers.

use harmony_core::verify::FailureClass;
use jiff::SignedDuration;
use serde_json::Value;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;

/// How long an object whose kind has a status may have none before it counts as ready.
const SILENT_GRACE: SignedDuration = SignedDuration::from_secs(15);

/// Conditions that mean "it works", most significant first.
const POSITIVE: [&str; 4] = ["Ready", "Available", "Succeeded", "Healthy"];

/// Ready if its controller has seen it and no condition says otherwise.
///
/// A kind without a status subresource is ready immediately. An object with an empty status is not: its controller has
/// not seen it yet, and perhaps there is none.
pub(super) fn assess(object: &Value, has_status: bool) -> Assessment {
    let status = object
        .get("status")
        .and_then(Value::as_object)
        .filter(|status| !status.is_empty());
    let Some(status) = status else {
        return if has_status {
            Assessment::Silent {
                grace: SILENT_GRACE,
            }
        } else {
            Assessment::Ready
        };
    };
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64);
    if let Some(observed) = status.get("observedGeneration").and_then(Value::as_i64)
        && observed < generation.unwrap_or(0)
    {
        return Waiting::because("its controller has not seen the change yet");
    }
    let conditions = status.get("conditions").and_then(Value::as_array);
    let find = |wanted: &str| {
        conditions?
            .iter()
            .find(|condition| condition["type"] == wanted)
    };
    let text =
        |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    if let Some(stalled) = find("Stalled").filter(|stalled| stalled["status"] == "True") {
        let message = text(stalled, "message");
        let seen = format!("Stalled: {}: {message}", text(stalled, "reason"));
        let what = format!("is stalled: {message}");
        let hint = "fix what its controller reports";
        return Assessment::Waiting(Waiting {
            why: what.clone(),
            troubles: vec![Finding::new(FailureClass::NotReady, 0, what, seen, hint)],
            ..Waiting::default()
        });
    }
    if let Some(busy) = find("Reconciling").filter(|busy| busy["status"] == "True") {
        return Waiting::because(format!("reconciling: {}", text(busy, "message")));
    }
    match POSITIVE.iter().find_map(|wanted| find(wanted)) {
        Some(condition) if condition["status"] == "True" => Assessment::Ready,
        Some(condition) => {
            let (kind, message) = (text(condition, "type"), text(condition, "message"));
            let reason = text(condition, "reason");
            Waiting::because(format!(
                "{kind} is {}: {reason} {message}",
                text(condition, "status")
            ))
        }
        None => Assessment::Ready,
    }
}
