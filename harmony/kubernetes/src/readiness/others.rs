//! Readiness of volume claims, namespaces and definitions.

use harmony_core::verify::FailureClass;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;
use super::observed::{Surroundings, uid};

pub(super) fn claim(object: &PersistentVolumeClaim, around: &Surroundings) -> Assessment {
    let phase = object
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if phase == Some("Bound") {
        return Assessment::Ready;
    }
    let events = around.events_of(uid(&object.metadata));
    let latest = |wanted: &[&str]| {
        events.iter().find(|event| {
            event
                .reason
                .as_deref()
                .is_some_and(|reason| wanted.contains(&reason))
        })
    };
    // It is bound when the first pod uses it, so waiting only for the claim would never end.
    if latest(&["WaitForFirstConsumer", "WaitForPodScheduled"]).is_some() {
        return Assessment::Ready;
    }
    let why = format!("the claim is {}", phase.unwrap_or("Pending"));
    if phase == Some("Lost") {
        let what = "lost its volume";
        let hint = "restore the volume, or delete the claim";
        return Waiting::with(
            why,
            Finding::new(FailureClass::MissingReference, 0, what, "phase Lost", hint),
        );
    }
    match latest(&["FailedBinding", "ProvisioningFailed"]) {
        Some(event) => {
            let message = event.message.clone().unwrap_or_default();
            let what = format!("cannot be bound: {message}");
            let hint = "name a StorageClass that the cluster has, or make one the default";
            let finding = Finding::new(FailureClass::MissingReference, 30, what, message, hint);
            Waiting::with(why, finding)
        }
        None => Waiting::because(why),
    }
}

pub(super) fn namespace(object: &Value) -> Assessment {
    match object.pointer("/status/phase").and_then(Value::as_str) {
        Some("Active") => Assessment::Ready,
        phase => Waiting::because(format!("the namespace is {}", phase.unwrap_or("new"))),
    }
}

pub(super) fn definition(object: &CustomResourceDefinition) -> Assessment {
    let conditions = object
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    let state = |wanted: &str| conditions.iter().find(|one| one.type_ == wanted);
    if let Some(names) = state("NamesAccepted").filter(|names| names.status == "False") {
        let message = names.message.clone().unwrap_or_default();
        let what = format!("conflicts with another definition: {message}");
        let hint = "give the kind, its plural or its short names another name";
        let finding = Finding::new(FailureClass::NotReady, 0, what, message, hint);
        return Waiting::with("its names are not accepted", finding);
    }
    match state("Established") {
        Some(established) if established.status == "True" => Assessment::Ready,
        _ => Waiting::because("the definition is not established yet"),
    }
}
