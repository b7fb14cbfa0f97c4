//! The kinds of Argo CD that its controller needs, and the project of its Applications.

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::Namespace;
use serde_json::{Value, json};

const GROUP: &str = "argoproj.io";
const VERSION: &str = "v1alpha1";

/// The definitions of the two kinds, and the project `default`, which allows everything.
pub(super) fn build(namespace: &Namespace) -> Result<Vec<KubeObject>, ObjectError> {
    let project = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "AppProject",
        "metadata": { "name": "default", "namespace": namespace.as_str() },
        "spec": {
            "clusterResourceWhitelist": [{ "group": "*", "kind": "*" }],
            "destinations": [{ "namespace": "*", "server": "*" }],
            "sourceRepos": ["*"],
        },
    });
    [
        definition("Application", "applications", &["app", "apps"], true),
        definition("AppProject", "appprojects", &["appproj", "appprojs"], false),
        project,
    ]
    .into_iter()
    .map(KubeObject::from_value)
    .collect()
}

/// A definition without a schema of the fields: Argo CD validates them, and a schema would tie this Score to one of its
/// versions. As in Argo CD's own definitions, the status is no subresource.
fn definition(kind: &str, plural: &str, short: &[&str], has_status: bool) -> Value {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let mut properties = json!({
        "apiVersion": { "type": "string" },
        "kind": { "type": "string" },
        "metadata": { "type": "object" },
        "spec": open,
        "status": open,
    });
    if has_status {
        properties["operation"] = open;
    }
    let column =
        |name: &str, path: &str| json!({ "name": name, "type": "string", "jsonPath": path });
    let mut version = json!({
        "name": VERSION,
        "served": true,
        "storage": true,
        "schema": { "openAPIV3Schema": {
            "type": "object", "required": ["metadata", "spec"], "properties": properties,
        }},
    });
    if has_status {
        version["additionalPrinterColumns"] = json!([
            column("Sync Status", ".status.sync.status"),
            column("Phase", ".status.operationState.phase"),
            column("Revision", ".status.sync.revision"),
        ]);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            "labels": { "app.kubernetes.io/name": format!("{plural}.{GROUP}"), "app.kubernetes.io/part-of": "argocd" },
        },
        "spec": {
            "group": GROUP,
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "shortNames": short },
            "scope": "Namespaced",
            "versions": [version],
        },
    })
}
