//! Parts that the objects of several components share.

use std::collections::BTreeMap;

use harmony::core::kubernetes::{KubeObject, ObjectError};
use harmony::types::Namespace;
use harmony_fleet_domain::settings;
use k8s_openapi::api::core::v1::{
    EnvVar, KeyToPath, Namespace as NamespaceObject, ProjectedVolumeSource, ResourceRequirements,
    SecretProjection, SecurityContext, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::certificates;
use crate::credentials::Role;

/// The file with the password of the role in a pod.
const PASSWORD_FILE: &str = "/run/fleet/credentials/password";
/// The certificate authority of NATS in a pod.
const CA_FILE: &str = "/run/fleet/credentials/ca.crt";

/// The Secrets of the fleet's Scores, by name or by the placeholders of a chart.
pub(crate) struct FleetSecrets {
    /// A password for each role.
    pub(crate) users: String,
    /// The certificate of NATS, and its authority.
    pub(crate) tls: String,
}

pub(crate) fn namespace(name: &Namespace) -> Result<KubeObject, ObjectError> {
    KubeObject::new(&NamespaceObject {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            ..ObjectMeta::default()
        },
        ..NamespaceObject::default()
    })
}

pub(crate) fn metadata(
    name: &str,
    namespace: &Namespace,
    labels: &BTreeMap<String, String>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(namespace.to_string()),
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    }
}

pub(crate) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        ..EnvVar::default()
    }
}

/// The volume with only the password of `role` and the authority of NATS from their Secrets.
pub(crate) fn credentials_volume(secrets: &FleetSecrets, role: Role) -> (Volume, VolumeMount) {
    let item = |secret: &str, key: String, path: &str| VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.to_owned(),
            items: Some(vec![KeyToPath {
                key,
                path: path.into(),
                mode: None,
            }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let volume = Volume {
        name: "credentials".into(),
        projected: Some(ProjectedVolumeSource {
            default_mode: None,
            sources: Some(vec![
                item(&secrets.users, role.user().to_string(), "password"),
                item(&secrets.tls, certificates::AUTHORITY.into(), "ca.crt"),
            ]),
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: "credentials".into(),
        mount_path: "/run/fleet/credentials".into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

/// The settings that a pod needs to log in to NATS.
pub(crate) fn nats_env(url: &str, role: Role) -> Vec<EnvVar> {
    vec![
        env(settings::NATS_URL, url),
        env(settings::NATS_USER, role.user().as_str()),
        env(settings::NATS_PASSWORD_FILE, PASSWORD_FILE),
        env(settings::NATS_CA_FILE, CA_FILE),
    ]
}

/// No capabilities, no privileges, no writable file system.
pub(crate) fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(k8s_openapi::api::core::v1::Capabilities {
            drop: Some(vec!["ALL".into()]),
            ..k8s_openapi::api::core::v1::Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

pub(crate) fn requests(cpu: &str, memory: &str) -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.into())),
            ("memory".to_owned(), Quantity(memory.into())),
        ])),
        ..ResourceRequirements::default()
    }
}
