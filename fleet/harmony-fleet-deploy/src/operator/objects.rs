//! The operator's Kubernetes objects, as in its chart. Pure.

use std::collections::BTreeMap;

use harmony::core::kubernetes::{KubeObject, ObjectError};
use harmony::scores::pull_secret;
use harmony::types::Namespace;
use harmony_fleet_domain::settings;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, PodSpec, PodTemplateSpec, Probe, Service,
    ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{HEALTH_PORT, NAME, OperatorValues};
use crate::credentials::Role as FleetRole;
use crate::{place, pod};

pub(super) fn build(
    namespace: &Namespace,
    image: &str,
    values: &OperatorValues,
) -> Result<Vec<KubeObject>, ObjectError> {
    let labels = place::labels(NAME);
    let definitions = harmony_fleet_adapters_kube::crds();
    let mut objects = definitions
        .iter()
        .map(KubeObject::new)
        .collect::<Result<Vec<_>, _>>()?;
    objects.push(pod::namespace(namespace)?);
    objects.push(KubeObject::new(&ServiceAccount {
        metadata: pod::metadata(NAME, namespace, &labels),
        ..ServiceAccount::default()
    })?);
    objects.push(KubeObject::new(&role(namespace, &labels, &definitions))?);
    objects.push(KubeObject::new(&role_binding(namespace, &labels))?);
    objects.push(KubeObject::new(&service(namespace, &labels))?);
    objects.push(KubeObject::new(&deployment(
        namespace, image, values, &labels,
    ))?);
    Ok(objects)
}

/// The operator has all permissions for its own kinds in its own namespace, and no others.
fn role(
    namespace: &Namespace,
    labels: &BTreeMap<String, String>,
    kinds: &[CustomResourceDefinition],
) -> Role {
    let rule = |kind: &CustomResourceDefinition| PolicyRule {
        api_groups: Some(vec![kind.spec.group.clone()]),
        resources: Some(vec![
            kind.spec.names.plural.clone(),
            format!("{}/status", kind.spec.names.plural),
        ]),
        verbs: [
            "get", "list", "watch", "create", "update", "patch", "delete",
        ]
        .map(ToOwned::to_owned)
        .into(),
        ..PolicyRule::default()
    };
    Role {
        metadata: pod::metadata(NAME, namespace, labels),
        rules: Some(kinds.iter().map(rule).collect()),
    }
}

fn role_binding(namespace: &Namespace, labels: &BTreeMap<String, String>) -> RoleBinding {
    RoleBinding {
        metadata: pod::metadata(NAME, namespace, labels),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: NAME.into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: NAME.into(),
            namespace: Some(namespace.to_string()),
            ..Subject::default()
        }]),
    }
}

fn service(namespace: &Namespace, labels: &BTreeMap<String, String>) -> Service {
    Service {
        metadata: pod::metadata(NAME, namespace, labels),
        spec: Some(ServiceSpec {
            selector: Some(labels.clone()),
            ports: Some(vec![ServicePort {
                name: Some("health".into()),
                port: HEALTH_PORT.into(),
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::String("health".into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn deployment(
    namespace: &Namespace,
    image: &str,
    values: &OperatorValues,
    labels: &BTreeMap<String, String>,
) -> Deployment {
    let (volume, mount) = pod::credentials_volume(&values.secrets, FleetRole::Operator);
    let mut env = pod::nats_env(&values.nats_url, FleetRole::Operator);
    env.extend([
        pod::env(settings::TENANT, &values.tenant),
        pod::env(settings::NAMESPACE, namespace.to_string()),
        pod::env(settings::FORGET_AFTER_SECONDS, &values.forget_after_seconds),
        pod::env(settings::HEALTH_ADDR, format!("0.0.0.0:{HEALTH_PORT}")),
    ]);
    let health = |path: &str, period: i32| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("health".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        ..Probe::default()
    };
    let container = Container {
        name: "operator".into(),
        image: Some(image.into()),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some("health".into()),
            container_port: HEALTH_PORT.into(),
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(health("/readyz", 1)),
        liveness_probe: Some(Probe {
            initial_delay_seconds: Some(10),
            ..health("/healthz", 10)
        }),
        resources: Some(pod::requests("20m", "32Mi")),
        security_context: Some(pod::confined()),
        volume_mounts: Some(vec![mount]),
        ..Container::default()
    };
    Deployment {
        metadata: pod::metadata(NAME, namespace, labels),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            // Two operators of a tenant would both manage its registry.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".into()),
                rolling_update: None,
            }),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels.clone()),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    service_account_name: Some(NAME.into()),
                    image_pull_secrets: values.pull_secret.as_deref().map(pull_secret::references),
                    termination_grace_period_seconds: Some(10),
                    containers: vec![container],
                    volumes: Some(vec![volume]),
                    ..PodSpec::default()
                }),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
