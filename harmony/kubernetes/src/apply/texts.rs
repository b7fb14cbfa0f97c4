//! Finds values that the server would drop, store empty, or refuse with an unhelpful message, before anything is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harmony_core::capability::kubernetes_cluster::FieldFault;
use serde_json::{Map, Value};

use crate::field_path::{child, entry};
use crate::schema::{is_builtin, type_name};

/// Maps of strings, at any place in built-in kinds.
const TEXT_MAPS: [&str; 6] = [
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
    "volumeAttributes",
    "parameters",
];

/// Lists of strings in containers and probes.
const TEXT_LISTS: [&str; 2] = ["args", "command"];

const QUOTE: &str = "quote the value, so that YAML reads it as a string";

/// Each value that must be a string or base64, and is not.
pub(super) fn faults(body: &Value) -> Vec<FieldFault> {
    let mut found = Vec::new();
    let kind = body["kind"].as_str().unwrap_or_default();
    let metadata = &body["metadata"];
    for key in ["labels", "annotations"] {
        text_map(&format!("metadata.{key}"), &metadata[key], true, &mut found);
    }
    for (of, key) in [
        ("ConfigMap", "data"),
        ("ConfigMap", "binaryData"),
        ("Secret", "data"),
        ("Secret", "stringData"),
    ] {
        if kind == of && is_builtin(body) {
            text_map(key, &body[key], false, &mut found);
            if (of, key) != ("ConfigMap", "data") && key != "stringData" {
                base64(key, &body[key], &mut found);
            }
        }
    }
    if !is_builtin(body) || kind == "CustomResourceDefinition" {
        return found;
    }
    if matches!(kind, "Service" | "ReplicationController") {
        text_map("spec.selector", &body["spec"]["selector"], true, &mut found);
    }
    for (key, value) in body.as_object().into_iter().flatten() {
        if !matches!(
            key.as_str(),
            "metadata" | "data" | "stringData" | "binaryData"
        ) {
            walk(&child("", key), value, &mut found);
        }
    }
    found
}

fn walk(path: &str, value: &Value, found: &mut Vec<FieldFault>) {
    match value {
        Value::Object(fields) => {
            pair(path, fields, found);
            for (key, value) in fields {
                let path = child(path, key);
                match value {
                    Value::Object(_) if TEXT_MAPS.contains(&key.as_str()) => {
                        text_map(&path, value, true, found);
                    }
                    Value::Array(items) if TEXT_LISTS.contains(&key.as_str()) => {
                        for (index, item) in items.iter().enumerate() {
                            must_be_text(&format!("{path}[{index}]"), item, found);
                        }
                    }
                    value => walk(&path, value, found),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&entry(path, index, item), item, found);
            }
        }
        _ => {}
    }
}

/// An environment variable, an HTTP header, a toleration: a name and a string. A missing value is fine.
fn pair(path: &str, fields: &Map<String, Value>, found: &mut Vec<FieldFault>) {
    let is_named = ["name", "key"]
        .iter()
        .any(|key| fields.get(*key).is_some_and(Value::is_string));
    if is_named
        && let Some(value) = fields.get("value")
        && !value.is_null()
    {
        must_be_text(&child(path, "value"), value, found);
    }
}

/// With `may_be_null`, a null entry counts as missing: a template left it empty.
fn text_map(path: &str, map: &Value, may_be_null: bool, found: &mut Vec<FieldFault>) {
    for (key, value) in map.as_object().into_iter().flatten() {
        if !(may_be_null && value.is_null()) {
            must_be_text(&child(path, key), value, found);
        }
    }
}

fn must_be_text(path: &str, value: &Value, found: &mut Vec<FieldFault>) {
    let fix = match value {
        Value::String(_) => return,
        Value::Null => "write \"\" for an empty string, or remove the key",
        Value::Object(_) | Value::Array(_) => {
            "write it as a single string, for example as a YAML block (`|`)"
        }
        Value::Bool(_) | Value::Number(_) => QUOTE,
    };
    found.push(FieldFault {
        path: path.to_owned(),
        problem: format!("is {}, but must be a string", type_name(value)),
        fix: fix.into(),
    });
}

fn base64(path: &str, map: &Value, found: &mut Vec<FieldFault>) {
    for (key, value) in map.as_object().into_iter().flatten() {
        let Some(text) = value.as_str() else { continue };
        // The server ignores line breaks, and nothing else.
        let text = text.replace(['\n', '\r'], "");
        if STANDARD.decode(text).is_err() {
            found.push(FieldFault {
                path: child(path, key),
                problem: "is not base64".into(),
                fix: "encode the value with base64, or move a Secret's value to `stringData`"
                    .into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(body: &Value) -> Vec<String> {
        faults(body).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_of_numbers_is_refused_with_every_path() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "database" },
            "stringData": { "user": "shop", "port": 5432, "tls": true, "none": null },
            "data": { "good": "YQ==", "folded": "YWFh\nYWFh", "plain": "hello!", "number": 1 },
        });
        assert_eq!(
            lines(&secret),
            [
                "data.number: is a number, but must be a string",
                "data.plain: is not base64",
                "stringData.none: is null, but must be a string",
                "stringData.port: is a number, but must be a string",
                "stringData.tls: is a boolean, but must be a string",
            ]
        );
        let shown = format!("{:?}", faults(&secret));
        assert!(
            !shown.contains("5432") && !shown.contains("hello"),
            "{shown}"
        );
    }

    #[test]
    fn labels_config_and_environment_are_texts() {
        let config = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "a", "labels": { "scrape": true, "empty": null }, "annotations": { "x.y/z": 1.0 } },
            "data": { "list": ["a"] }, "binaryData": { "b": "#" },
        });
        assert_eq!(
            lines(&config),
            [
                "metadata.labels.scrape: is a boolean, but must be a string",
                "metadata.annotations[x.y/z]: is a number, but must be a string",
                "data.list: is a list, but must be a string",
                "binaryData.b: is not base64",
            ]
        );
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" },
            "spec": {
                "selector": { "matchLabels": { "app": 1 } },
                "template": {
                    "metadata": { "labels": { "app": "a" } },
                    "spec": {
                        "nodeSelector": { "gpu": true },
                        "containers": [{
                            "name": "web", "args": ["-p", 80], "env": [
                                { "name": "PORT", "value": 80 }, { "name": "EMPTY", "value": null },
                            ],
                            "livenessProbe": { "httpGet": { "port": 80, "httpHeaders": [{ "name": "a", "value": 1 }] } },
                        }],
                    },
                },
            },
        });
        assert_eq!(
            lines(&deployment),
            [
                "spec.selector.matchLabels.app: is a number, but must be a string",
                "spec.template.spec.containers[web].args[1]: is a number, but must be a string",
                "spec.template.spec.containers[web].env[PORT].value: is a number, but must be a string",
                "spec.template.spec.containers[web].livenessProbe.httpGet.httpHeaders[a].value: is a number, but must be a string",
                "spec.template.spec.nodeSelector.gpu: is a boolean, but must be a string",
            ]
        );
        let service = json!({ "apiVersion": "v1", "kind": "Service", "spec": { "selector": { "on": false } } });
        assert_eq!(lines(&service).len(), 1);
    }

    #[test]
    fn what_may_be_no_text_is_let_through() {
        for body in [
            json!({ "apiVersion": "example.com/v1", "kind": "Secret", "stringData": { "a": 1 }, "spec": { "labels": { "a": 1 } } }),
            json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "spec": { "properties": { "labels": { "type": "object" } } } }),
            json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                    "spec": { "metrics": [{ "pods": { "metric": { "name": "m" }, "target": { "type": "Value", "value": 3 } } }] } }),
            json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [{ "name": "a", "resources": { "limits": { "cpu": 1 } } }] } }),
        ] {
            assert_eq!(lines(&body), [""; 0]);
        }
    }
}
