//! What the objects of the components share.

use std::collections::BTreeMap;

use harmony::core::kubernetes::{KubeObject, ObjectError};
use harmony::types::Namespace;
use k8s_openapi::api::core::v1::{
    EnvVar, KeyToPath, Namespace as NamespaceObject, ResourceRequirements, SecretVolumeSource,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::credentials::Role;

/// Where a pod finds the password of its role, as a file.
pub(crate) const PASSWORD_FILE: &str = "/run/fleet/credentials/password";

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

/// The volume that holds the password of `role` and nothing else of the Secret.
pub(crate) fn password_volume(secret: &str, role: Role) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: "credentials".into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            items: Some(vec![KeyToPath {
                key: role.user().to_string(),
                path: "password".into(),
                mode: None,
            }]),
            ..SecretVolumeSource::default()
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

/// No capability, no privilege, nothing to write on.
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
