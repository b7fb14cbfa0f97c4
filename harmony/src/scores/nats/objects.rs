//! The Kubernetes objects of the server.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, KeyToPath, Namespace, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, Secret, SecretVolumeSource, Service, ServicePort, ServiceSpec,
    TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::confined::{self, CONFIG_MARK};
use super::super::pull_secret;
use super::super::storage::VOLUME;
use super::{CLIENT_PORT, NatsReach, NatsScore, config};

const CONFIG_FILE: &str = "nats.conf";

/// Changes with configuration and certificate.
fn config_mark(score: &NatsScore) -> String {
    let revision = score.tls.as_ref().map(|tls| tls.revision.clone());
    confined::mark([config::render(score), revision.unwrap_or_default()])
}

pub(super) fn build(score: &NatsScore) -> Result<Vec<KubeObject>, ObjectError> {
    let mut objects = vec![
        KubeObject::new(&namespace(score))?,
        KubeObject::new(&configuration(score))?,
        KubeObject::new(&service(score))?,
        KubeObject::new(&stateful_set(score))?,
    ];
    if let NatsReach::Pods(pods) = &score.reach {
        objects.push(KubeObject::new(&policy(score, pods))?);
    }
    Ok(objects)
}

fn policy(score: &NatsScore, pods: &[BTreeMap<String, String>]) -> NetworkPolicy {
    let selector = |labels: BTreeMap<String, String>| LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    };
    let peer = |labels: &BTreeMap<String, String>| NetworkPolicyPeer {
        pod_selector: Some(selector(labels.clone())),
        ..NetworkPolicyPeer::default()
    };
    let rule = NetworkPolicyIngressRule {
        from: Some(pods.iter().map(peer).collect()),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::String("client".into())),
            protocol: Some("TCP".into()),
            ..NetworkPolicyPort::default()
        }]),
    };
    // An empty `from` would let everybody in; no rule lets nobody in.
    let ingress = if pods.is_empty() { vec![] } else { vec![rule] };
    NetworkPolicy {
        metadata: metadata(score, score.name.to_string()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(labels(score))),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn namespace(score: &NatsScore) -> Namespace {
    let metadata = ObjectMeta {
        name: Some(score.namespace.to_string()),
        ..ObjectMeta::default()
    };
    Namespace {
        metadata,
        ..Namespace::default()
    }
}

fn configuration(score: &NatsScore) -> Secret {
    let text = config::render(score);
    Secret {
        metadata: metadata(score, format!("{}-config", score.name)),
        data: Some(BTreeMap::from([(
            CONFIG_FILE.to_owned(),
            ByteString(text.into_bytes()),
        )])),
        ..Secret::default()
    }
}

fn service(score: &NatsScore) -> Service {
    let port = |name: &str, port: u16| ServicePort {
        name: Some(name.into()),
        port: port.into(),
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(score, score.name.to_string()),
        spec: Some(ServiceSpec {
            selector: Some(labels(score)),
            ports: Some(vec![port("client", CLIENT_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn stateful_set(score: &NatsScore) -> StatefulSet {
    StatefulSet {
        metadata: metadata(score, score.name.to_string()),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(score.name.to_string()),
            selector: LabelSelector {
                match_labels: Some(labels(score)),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(score)),
                    annotations: Some(BTreeMap::from([(
                        CONFIG_MARK.to_owned(),
                        config_mark(score),
                    )])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(score)),
            },
            volume_claim_templates: score.storage.claims(),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn pod(score: &NatsScore) -> PodSpec {
    let port = |name: &str, port: u16| ContainerPort {
        name: Some(name.into()),
        container_port: port.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    // The server accepts clients only after JetStream has recovered.
    let listening = |period: i32| Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("client".into()),
            ..TCPSocketAction::default()
        }),
        period_seconds: Some(period),
        ..Probe::default()
    };
    let mut volumes = vec![Volume {
        name: "config".into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(format!("{}-config", score.name)),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }];
    let mut mounts = vec![
        mount("config", config::FOLDER, true),
        mount(VOLUME, config::STORE, false),
    ];
    if let Some(tls) = &score.tls {
        let item = |key: &str| KeyToPath {
            key: key.into(),
            path: key.into(),
            mode: None,
        };
        mounts.push(mount("tls", config::TLS_FOLDER, true));
        volumes.push(Volume {
            name: "tls".into(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(tls.secret.to_string()),
                // Nothing else that the Secret may hold, such as the key of an authority.
                items: Some(vec![item("tls.crt"), item("tls.key")]),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    volumes.extend(score.storage.pod_volume());
    PodSpec {
        termination_grace_period_seconds: Some(10),
        automount_service_account_token: Some(false),
        containers: vec![Container {
            name: "nats".into(),
            image: Some(score.image.to_string()),
            args: Some(vec![
                "--config".into(),
                format!("{}/{CONFIG_FILE}", config::FOLDER),
            ]),
            ports: Some(vec![port("client", CLIENT_PORT)]),
            volume_mounts: Some(mounts),
            readiness_probe: Some(listening(1)),
            liveness_probe: Some(Probe {
                initial_delay_seconds: Some(10),
                ..listening(10)
            }),
            resources: Some(ResourceRequirements {
                requests: Some(BTreeMap::from([
                    ("cpu".to_owned(), Quantity("20m".into())),
                    ("memory".to_owned(), Quantity("32Mi".into())),
                ])),
                ..ResourceRequirements::default()
            }),
            ..Container::default()
        }],
        volumes: Some(volumes),
        image_pull_secrets: score.pull_secret.as_ref().map(pull_secret::references),
        ..PodSpec::default()
    }
}

fn labels(score: &NatsScore) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "nats".to_owned()),
        (
            "app.kubernetes.io/instance".to_owned(),
            score.name.to_string(),
        ),
    ])
}

fn metadata(score: &NatsScore, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(score.namespace.to_string()),
        labels: Some(labels(score)),
        ..ObjectMeta::default()
    }
}
