//! The Kubernetes objects of Prometheus and Alertmanager.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction, Namespace, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, Secret, SecretVolumeSource, Service, ServicePort,
    ServiceSpec, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config;
use super::names::{ALERTMANAGER, ALERTMANAGER_PORT, PROMETHEUS, PROMETHEUS_PORT, part_name};
use crate::scores::confined::{self, CONFIG_MARK};
use crate::scores::monitoring::images::MonitoringImages;
use crate::scores::monitoring::receiver::SecretValues;
use crate::scores::monitoring::{MonitoringScore, duration};
use crate::scores::pull_secret;
use crate::scores::storage::VOLUME;

const PROMETHEUS_FILE: &str = "prometheus.yml";
const RULES_FILE: &str = "rules.yml";
const ALERTMANAGER_FILE: &str = "alertmanager.yml";

/// The port's name in pods and Services.
const PORT: &str = "http";

/// The user of the pods; owns the data.
const USER: i64 = 65532;

/// One of the two programs.
struct Part<'a> {
    score: &'a MonitoringScore,
    name: &'static str,
    image: String,
    args: Vec<String>,
    port: u16,
    /// The directory of the configuration, and its source.
    config: (&'static str, Volume),
    /// Changes with the configuration.
    mark: String,
    data: &'static str,
    /// The ready and the healthy path.
    probes: (&'static str, &'static str),
    memory: &'static str,
    /// The pods that may connect, by their labels.
    clients: Vec<BTreeMap<String, String>>,
}

pub(super) fn build(
    score: &MonitoringScore,
    images: &MonitoringImages,
    secrets: &SecretValues,
) -> Result<Vec<KubeObject>, ObjectError> {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(score.namespace.to_string()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let files = BTreeMap::from([
        (PROMETHEUS_FILE.to_owned(), config::prometheus(score)),
        (RULES_FILE.to_owned(), config::rules_file(score)),
    ]);
    let alertmanager_file = config::alertmanager(score, secrets);
    let parts = [
        prometheus(score, images, confined::mark(files.values())),
        alertmanager(score, images, confined::mark([&alertmanager_file])),
    ];
    let files = ConfigMap {
        metadata: metadata(score, PROMETHEUS),
        data: Some(files),
        ..ConfigMap::default()
    };
    let secret = Secret {
        metadata: metadata(score, ALERTMANAGER),
        data: Some(BTreeMap::from([(
            ALERTMANAGER_FILE.to_owned(),
            ByteString(alertmanager_file.into_bytes()),
        )])),
        ..Secret::default()
    };
    let mut objects = vec![
        KubeObject::new(&namespace)?,
        KubeObject::new(&files)?.with_public_values(),
        KubeObject::new(&secret)?,
    ];
    for part in parts {
        objects.push(KubeObject::new(&part.service())?);
        objects.push(KubeObject::new(&part.policy())?);
        objects.push(KubeObject::new(&part.stateful_set())?);
    }
    Ok(objects)
}

fn prometheus<'a>(score: &'a MonitoringScore, images: &MonitoringImages, mark: String) -> Part<'a> {
    const CONFIG: &str = "/etc/prometheus";
    const DATA: &str = "/prometheus";
    Part {
        score,
        name: PROMETHEUS,
        image: images.prometheus.to_string(),
        args: vec![
            format!("--config.file={CONFIG}/{PROMETHEUS_FILE}"),
            format!("--storage.tsdb.path={DATA}"),
            format!(
                "--storage.tsdb.retention.time={}",
                duration(score.retention)
            ),
        ],
        port: PROMETHEUS_PORT,
        config: (
            CONFIG,
            Volume {
                name: "config".into(),
                config_map: Some(ConfigMapVolumeSource {
                    name: part_name(score, PROMETHEUS),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            },
        ),
        mark,
        data: DATA,
        probes: ("/-/ready", "/-/healthy"),
        memory: "128Mi",
        clients: score.readers.clone(),
    }
}

fn alertmanager<'a>(
    score: &'a MonitoringScore,
    images: &MonitoringImages,
    mark: String,
) -> Part<'a> {
    const CONFIG: &str = "/etc/alertmanager";
    const DATA: &str = "/alertmanager";
    Part {
        score,
        name: ALERTMANAGER,
        image: images.alertmanager.to_string(),
        args: vec![
            format!("--config.file={CONFIG}/{ALERTMANAGER_FILE}"),
            format!("--storage.path={DATA}"),
            // One replica has nobody to talk to.
            "--cluster.listen-address=".to_owned(),
        ],
        port: ALERTMANAGER_PORT,
        config: (
            CONFIG,
            Volume {
                name: "config".into(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(part_name(score, ALERTMANAGER)),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            },
        ),
        mark,
        data: DATA,
        probes: ("/-/ready", "/-/healthy"),
        memory: "32Mi",
        clients: vec![labels(score, PROMETHEUS)],
    }
}

impl Part<'_> {
    fn service(&self) -> Service {
        Service {
            metadata: metadata(self.score, self.name),
            spec: Some(ServiceSpec {
                selector: Some(labels(self.score, self.name)),
                ports: Some(vec![ServicePort {
                    name: Some(PORT.into()),
                    port: self.port.into(),
                    protocol: Some("TCP".into()),
                    target_port: Some(IntOrString::String(PORT.into())),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }
    }

    fn policy(&self) -> NetworkPolicy {
        let selector = |labels: &BTreeMap<String, String>| LabelSelector {
            match_labels: Some(labels.clone()),
            ..LabelSelector::default()
        };
        let peer = |labels: &BTreeMap<String, String>| NetworkPolicyPeer {
            pod_selector: Some(selector(labels)),
            ..NetworkPolicyPeer::default()
        };
        let rule = NetworkPolicyIngressRule {
            from: Some(self.clients.iter().map(peer).collect()),
            ports: Some(vec![NetworkPolicyPort {
                port: Some(IntOrString::String(PORT.into())),
                protocol: Some("TCP".into()),
                ..NetworkPolicyPort::default()
            }]),
        };
        // An empty `from` would let everybody in; no rule lets nobody in.
        let ingress = if self.clients.is_empty() {
            vec![]
        } else {
            vec![rule]
        };
        NetworkPolicy {
            metadata: metadata(self.score, self.name),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(selector(&labels(self.score, self.name))),
                policy_types: Some(vec!["Ingress".into()]),
                ingress: Some(ingress),
                ..NetworkPolicySpec::default()
            }),
        }
    }

    fn stateful_set(&self) -> StatefulSet {
        StatefulSet {
            metadata: metadata(self.score, self.name),
            spec: Some(StatefulSetSpec {
                replicas: Some(1),
                service_name: Some(part_name(self.score, self.name)),
                selector: LabelSelector {
                    match_labels: Some(labels(self.score, self.name)),
                    ..LabelSelector::default()
                },
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(labels(self.score, self.name)),
                        annotations: Some(BTreeMap::from([(
                            CONFIG_MARK.to_owned(),
                            self.mark.clone(),
                        )])),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod()),
                },
                volume_claim_templates: self.score.storage.claims(),
                ..StatefulSetSpec::default()
            }),
            ..StatefulSet::default()
        }
    }

    fn pod(&self) -> PodSpec {
        let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
            name: name.into(),
            mount_path: path.into(),
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        };
        let answers = |path: &str, period: i32| Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.into()),
                port: IntOrString::String(PORT.into()),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(period),
            ..Probe::default()
        };
        let (config_path, config_volume) = &self.config;
        let mut volumes = vec![config_volume.clone()];
        volumes.extend(self.score.storage.pod_volume());
        PodSpec {
            automount_service_account_token: Some(false),
            security_context: Some(confined::pod(USER)),
            containers: vec![Container {
                name: self.name.into(),
                image: Some(self.image.clone()),
                args: Some(self.args.clone()),
                ports: Some(vec![ContainerPort {
                    name: Some(PORT.into()),
                    container_port: self.port.into(),
                    protocol: Some("TCP".into()),
                    ..ContainerPort::default()
                }]),
                volume_mounts: Some(vec![
                    mount("config", config_path, true),
                    mount(VOLUME, self.data, false),
                ]),
                readiness_probe: Some(answers(self.probes.0, 1)),
                liveness_probe: Some(Probe {
                    initial_delay_seconds: Some(30),
                    ..answers(self.probes.1, 10)
                }),
                resources: Some(ResourceRequirements {
                    requests: Some(BTreeMap::from([
                        ("cpu".to_owned(), Quantity("20m".into())),
                        ("memory".to_owned(), Quantity(self.memory.into())),
                    ])),
                    ..ResourceRequirements::default()
                }),
                security_context: Some(confined::container()),
                ..Container::default()
            }],
            volumes: Some(volumes),
            image_pull_secrets: self.score.pull_secret.as_ref().map(pull_secret::references),
            ..PodSpec::default()
        }
    }
}

fn labels(score: &MonitoringScore, part: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), part.to_owned()),
        (
            "app.kubernetes.io/instance".to_owned(),
            score.name.to_string(),
        ),
    ])
}

fn metadata(score: &MonitoringScore, part: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(part_name(score, part)),
        namespace: Some(score.namespace.to_string()),
        labels: Some(labels(score, part)),
        ..ObjectMeta::default()
    }
}
