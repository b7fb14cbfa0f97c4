//! What a selector selects, among existing and expected pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use harmony_core::verify::FailureClass;
use k8s_openapi::api::core::v1::Pod;
use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use super::container::Finding;
use super::observed::Surroundings;

/// How long a selector may select nothing: a controller may be about to create the pods.
const GRACE: i64 = 15;

/// The pods with these labels.
pub(super) fn pods(selector: &Selector, around: &Surroundings) -> Vec<Arc<Pod>> {
    let none = BTreeMap::new();
    let pods = around.pods.iter();
    let selected =
        pods.filter(|pod| selector.matches(pod.metadata.labels.as_ref().unwrap_or(&none)));
    selected.cloned().collect()
}

/// The awaited workloads whose pods have these labels.
pub(super) fn workloads<'a>(selector: &Selector, around: &'a Surroundings) -> Vec<&'a Value> {
    let workloads = around.workloads.iter();
    let selected = workloads.filter(|workload| {
        template_labels(workload).is_some_and(|labels| selector.matches(&labels))
    });
    selected.collect()
}

/// No pod and no workload has these labels.
pub(super) fn nothing(selector: &Selector, around: &Surroundings, hint: &str) -> Finding {
    let known: Vec<String> = around
        .workloads
        .iter()
        .filter_map(|workload| {
            let labels: Selector = template_labels(workload)?.into_iter().collect();
            let kind = workload.get("kind").and_then(Value::as_str)?;
            let name = workload.pointer("/metadata/name").and_then(Value::as_str)?;
            Some(format!("{kind} {name} has {labels}"))
        })
        .collect();
    let seen = if known.is_empty() {
        "no workload of this deploy has pods".to_owned()
    } else {
        known.join("; ")
    };
    let finding = Finding::new(
        FailureClass::NotReady,
        GRACE,
        format!("selects nothing: no pod and no workload has the labels {selector}"),
        seen,
        hint,
    );
    // The controller of a custom resource creates pods at its own pace.
    if around.has_custom_resources {
        return Finding {
            grace: None,
            ..finding
        };
    }
    finding
}

fn template_labels(workload: &Value) -> Option<BTreeMap<String, String>> {
    let labels = workload.pointer("/spec/template/metadata/labels")?;
    serde_json::from_value(labels.clone()).ok()
}
