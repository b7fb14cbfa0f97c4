//! The kinds of Argo CD that its controller needs, and the project of its Applications.

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::Namespace;
use serde_json::json;

use super::super::controllers::{OpenKind, anything};

const GROUP: &str = "argoproj.io";
const VERSION: &str = "v1alpha1";

/// The definitions of the two kinds, and the project `default`, which allows everything. As in Argo CD's own definitions,
/// the status is no subresource.
pub(super) fn build(namespace: &Namespace) -> Result<Vec<KubeObject>, ObjectError> {
    let application = OpenKind {
        fields: json!({ "spec": anything(), "status": anything(), "operation": anything() }),
        columns: &[
            ("Sync Status", ".status.sync.status"),
            ("Phase", ".status.operationState.phase"),
            ("Revision", ".status.sync.revision"),
        ],
        ..kind("Application", "applications", &["app", "apps"])
    };
    let project = kind("AppProject", "appprojects", &["appproj", "appprojs"]);
    let default = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "AppProject",
        "metadata": { "name": "default", "namespace": namespace.as_str() },
        "spec": {
            "clusterResourceWhitelist": [{ "group": "*", "kind": "*" }],
            "destinations": [{ "namespace": "*", "server": "*" }],
            "sourceRepos": ["*"],
        },
    });
    Ok(vec![
        application.definition()?,
        project.definition()?,
        KubeObject::from_value(default)?,
    ])
}

fn kind<'a>(kind: &'a str, plural: &'a str, short: &'a [&'a str]) -> OpenKind<'a> {
    OpenKind {
        part_of: "argocd",
        group: GROUP,
        version: VERSION,
        kind,
        plural,
        short,
        fields: json!({ "spec": anything(), "status": anything() }),
        columns: &[],
        has_subresource: false,
    }
}
