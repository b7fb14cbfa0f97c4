//! What our Scores for controllers have in common: their kinds, their rights, and parts of their pods.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::{ImageRef, Namespace};
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Namespace as NamespaceObject, Probe, Volume,
    VolumeMount,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::confined;

/// The definition of a kind without a schema of its fields: the controller validates them, and a schema would tie a Score
/// to one version of the controller.
pub(super) struct OpenKind<'a> {
    /// The product that the kind belongs to.
    pub(super) part_of: &'a str,
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) kind: &'a str,
    pub(super) plural: &'a str,
    pub(super) short: &'a [&'a str],
    /// The schemas of its fields besides those that every object has.
    pub(super) fields: Value,
    /// Names and paths.
    pub(super) columns: &'a [(&'a str, &'a str)],
    /// Whether the status is a subresource.
    pub(super) has_subresource: bool,
}

/// The schema of a field that may contain anything.
pub(super) fn anything() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

impl OpenKind<'_> {
    pub(super) fn definition(&self) -> Result<KubeObject, ObjectError> {
        let mut properties = json!({
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
        });
        if let (Some(properties), Some(fields)) =
            (properties.as_object_mut(), self.fields.as_object())
        {
            properties.extend(fields.clone());
        }
        let mut version = json!({
            "name": self.version,
            "served": true,
            "storage": true,
            "schema": { "openAPIV3Schema": {
                "type": "object", "required": ["metadata", "spec"], "properties": properties,
            }},
        });
        if !self.columns.is_empty() {
            let columns = self.columns.iter();
            let columns = columns
                .map(|(name, path)| json!({ "name": name, "type": "string", "jsonPath": path }));
            version["additionalPrinterColumns"] = columns.collect();
        }
        if self.has_subresource {
            version["subresources"] = json!({ "status": {} });
        }
        let mut names = json!({ "kind": self.kind, "listKind": format!("{}List", self.kind), "plural": self.plural,
            "singular": self.kind.to_lowercase() });
        if !self.short.is_empty() {
            names["shortNames"] = json!(self.short);
        }
        let Self {
            group,
            plural,
            part_of,
            ..
        } = self;
        KubeObject::from_value(json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                "labels": {
                    "app.kubernetes.io/name": format!("{plural}.{group}"),
                    "app.kubernetes.io/part-of": part_of,
                },
            },
            "spec": {
                "group": group,
                "names": names,
                "scope": "Namespaced",
                "versions": [version],
            },
        }))
    }
}

/// The right to change everything in the cluster, for the account with this metadata: a delivery applies whatever charts
/// contain. Two installations in one cluster have a role each.
pub(super) fn all_rights(account: &ObjectMeta) -> Result<[KubeObject; 2], ObjectError> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let name = format!("{}-{}", text(&account.namespace), text(&account.name));
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: None,
        ..account.clone()
    };
    let all = || Some(vec!["*".to_owned()]);
    let role = ClusterRole {
        metadata: metadata.clone(),
        rules: Some(vec![
            PolicyRule {
                api_groups: all(),
                resources: all(),
                verbs: vec!["*".into()],
                ..PolicyRule::default()
            },
            PolicyRule {
                non_resource_urls: all(),
                verbs: vec!["*".into()],
                ..PolicyRule::default()
            },
        ]),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata,
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name,
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: text(&account.name),
            namespace: account.namespace.clone(),
            ..Subject::default()
        }]),
    };
    Ok([KubeObject::new(&role)?, KubeObject::new(&binding)?])
}

/// An unprivileged container that runs the program of its name. With `health`, a port and a path, it is ready when it
/// serves them.
pub(super) fn container(program: &str, image: &ImageRef, health: Option<(i32, &str)>) -> Container {
    Container {
        name: program.into(),
        image: Some(image.to_string()),
        command: Some(vec![program.into()]),
        ports: health.map(|(port, _)| {
            vec![ContainerPort {
                name: Some("health".into()),
                container_port: port,
                ..ContainerPort::default()
            }]
        }),
        readiness_probe: health.map(|(port, path)| Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.into()),
                port: IntOrString::Int(port),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(2),
            timeout_seconds: Some(5),
            failure_threshold: Some(3),
            ..Probe::default()
        }),
        security_context: Some(confined::container()),
        ..Container::default()
    }
}

/// A namespace without settings.
pub(super) fn namespace(name: &Namespace) -> Result<KubeObject, ObjectError> {
    KubeObject::new(&NamespaceObject {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            ..ObjectMeta::default()
        },
        ..NamespaceObject::default()
    })
}

/// An empty directory that lasts as long as the pod.
pub(super) fn empty_volume(name: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.into(),
        mount_path: path.into(),
        ..VolumeMount::default()
    }
}

pub(super) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        ..EnvVar::default()
    }
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// The metadata of an object of the product `part_of`.
pub(super) fn metadata(part_of: &str, namespace: &Namespace, name: &str) -> ObjectMeta {
    let labels = [
        ("app.kubernetes.io/name", name),
        ("app.kubernetes.io/part-of", part_of),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_string()),
        labels: Some(BTreeMap::from(labels)),
        ..ObjectMeta::default()
    }
}
