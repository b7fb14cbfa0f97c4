//! A stateless HTTP server: the right Score for most apps to start with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use harmony_charts::{ChartModel, ObjectsModel};
use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_core::verify::{
    Checks, READY_DEADLINE, ServicePort as CheckedPort, SmokeCheck, verified_or,
};
use harmony_core::{Interpret, InterpretError, Score, Topology};
use harmony_release::Serves;
use harmony_types::{ImageRef, Namespace, ReleaseUnit, ResourceName};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Namespace as NamespaceObject, PodSpec,
    PodTemplateSpec, Probe, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::monitoring::ScrapeTarget;
use super::{K8sResourceScore, pull_secret};

/// A program that serves HTTP. It consists of a Deployment and a Service with the same name, and is ready when its
/// health path returns status 200. An [`AppSpec`](harmony_release::AppSpec) that serves it gets its chart and its smoke
/// check from it.
#[derive(Debug, Clone)]
pub struct HttpServer {
    /// The port of the program and of the Service.
    pub port: u16,
    /// The path that returns status 200 when the program can serve requests, such as `/health`.
    pub health_path: String,
    /// The number of pods.
    pub replicas: u16,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Where it serves metrics in the text format of Prometheus, for a [`MonitoringScore`](super::MonitoringScore).
    pub metrics: Option<MetricsEndpoint>,
    /// The Secret with the credentials for a private registry; [`PullSecretScore`](super::PullSecretScore) creates one.
    pub pull_secret: Option<ResourceName>,
}

/// Where a program serves metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsEndpoint {
    /// The port of the program. It can be another one than that of the Service, which users reach.
    pub port: u16,
    /// The path, usually `/metrics`.
    pub path: String,
}

impl HttpServer {
    /// One replica without environment variables, ready when `GET /` returns status 200.
    pub fn on(port: u16) -> Self {
        Self {
            port,
            health_path: "/".into(),
            replicas: 1,
            env: BTreeMap::new(),
            metrics: None,
            pull_secret: None,
        }
    }

    /// Sets the health path.
    #[must_use]
    pub fn with_health_path(self, path: impl Into<String>) -> Self {
        Self {
            health_path: path.into(),
            ..self
        }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Says that the program serves metrics at this path of its port.
    #[must_use]
    pub fn with_metrics(self, path: impl Into<String>) -> Self {
        let port = self.port;
        self.with_metrics_on(port, path)
    }

    /// Says that the program serves metrics at this port and path.
    #[must_use]
    pub fn with_metrics_on(self, port: u16, path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            metrics: Some(MetricsEndpoint { port, path }),
            ..self
        }
    }

    /// Its pods in a namespace, for a [`MonitoringScore`](super::MonitoringScore): at its metrics endpoint, or at
    /// `/metrics` of its port.
    pub fn target(&self, name: impl Into<ResourceName>, namespace: &Namespace) -> ScrapeTarget {
        let name = name.into();
        let labels = labels(&name);
        let (port, path) = match &self.metrics {
            Some(metrics) => (metrics.port, metrics.path.as_str()),
            None => (self.port, "/metrics"),
        };
        ScrapeTarget {
            labels,
            ..ScrapeTarget::new(name, namespace.clone(), port).with_path(path)
        }
    }

    /// Checks that the health path returns status 200 through the Service with this name.
    pub fn check(&self, name: &ResourceName) -> SmokeCheck {
        SmokeCheck::Http {
            service: CheckedPort {
                service: name.clone(),
                port: self.port,
            },
            path: self.health_path.clone(),
            status: 200,
            contains: None,
        }
    }

    /// The objects with this name, namespace and image. They are also the content of its chart.
    ///
    /// # Errors
    /// None for valid names; the signature is the same for everything that creates objects.
    pub fn objects(
        &self,
        name: &ResourceName,
        namespace: &Namespace,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ObjectError> {
        let target = NamespaceObject {
            metadata: ObjectMeta {
                name: Some(namespace.to_string()),
                ..ObjectMeta::default()
            },
            ..NamespaceObject::default()
        };
        Ok(vec![
            KubeObject::new(&target)?,
            KubeObject::new(&self.service(name, namespace))?,
            KubeObject::new(&self.deployment(name, namespace, &image.to_string()))?,
        ])
    }

    fn service(&self, name: &ResourceName, namespace: &Namespace) -> Service {
        Service {
            metadata: metadata(name, namespace),
            spec: Some(ServiceSpec {
                selector: Some(labels(name)),
                ports: Some(vec![ServicePort {
                    name: Some("http".into()),
                    port: self.port.into(),
                    protocol: Some("TCP".into()),
                    target_port: Some(IntOrString::String("http".into())),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }
    }

    fn deployment(&self, name: &ResourceName, namespace: &Namespace, image: &str) -> Deployment {
        let env = self.env.iter().map(|(name, value)| EnvVar {
            name: name.clone(),
            value: Some(value.clone()),
            ..EnvVar::default()
        });
        let container = Container {
            name: name.to_string(),
            image: Some(image.to_owned()),
            env: Some(env.collect::<Vec<_>>()).filter(|env| !env.is_empty()),
            ports: Some(vec![ContainerPort {
                name: Some("http".into()),
                container_port: self.port.into(),
                protocol: Some("TCP".into()),
                ..ContainerPort::default()
            }]),
            readiness_probe: Some(Probe {
                http_get: Some(HTTPGetAction {
                    path: Some(self.health_path.clone()),
                    port: IntOrString::String("http".into()),
                    ..HTTPGetAction::default()
                }),
                period_seconds: Some(2),
                ..Probe::default()
            }),
            ..Container::default()
        };
        Deployment {
            metadata: metadata(name, namespace),
            spec: Some(DeploymentSpec {
                replicas: Some(self.replicas.into()),
                selector: LabelSelector {
                    match_labels: Some(labels(name)),
                    ..LabelSelector::default()
                },
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(labels(name)),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(PodSpec {
                        containers: vec![container],
                        image_pull_secrets: self.pull_secret.as_ref().map(pull_secret::references),
                        ..PodSpec::default()
                    }),
                },
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        }
    }
}

fn labels(name: &ResourceName) -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".to_owned(), name.to_string())])
}

fn metadata(name: &ResourceName, namespace: &Namespace) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_string()),
        namespace: Some(namespace.to_string()),
        labels: Some(labels(name)),
        ..ObjectMeta::default()
    }
}

/// The chart and the check of an app that is an [`HttpServer`]. Both have the name of the app.
impl Serves for HttpServer {
    fn chart(&self, unit: &ReleaseUnit) -> Arc<dyn ChartModel> {
        let (name, server) = (ResourceName::from(unit), self.clone());
        let description = format!("{name}, an HTTP server");
        Arc::new(ObjectsModel::new(
            description,
            move |namespace: &Namespace, image: &ImageRef| server.objects(&name, namespace, image),
        ))
    }

    fn checks(&self, unit: &ReleaseUnit) -> Checks {
        Checks::first(self.check(&unit.into()))
    }
}

/// Runs an [`HttpServer`] in a namespace, with an existing image.
#[derive(Debug, Clone)]
pub struct HttpServerScore {
    /// The name of the Deployment, the container, the Service and this Score.
    pub name: ResourceName,
    /// The server to run.
    pub server: HttpServer,
    /// The namespace; created if it does not exist.
    pub namespace: Namespace,
    /// The image.
    pub image: ImageRef,
    /// The time limit for becoming ready.
    pub deadline: Duration,
}

impl HttpServerScore {
    /// Uses the default deadline.
    pub fn new(
        name: ResourceName,
        server: HttpServer,
        namespace: Namespace,
        image: ImageRef,
    ) -> Self {
        Self {
            name,
            server,
            namespace,
            image,
            deadline: READY_DEADLINE,
        }
    }

    fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let objects = self
            .server
            .objects(&self.name, &self.namespace, &self.image)
            .map_err(|error| InterpretError::new(self.name.as_str(), error))?;
        let check = Checks::first(self.server.check(&self.name));
        let score =
            K8sResourceScore::new(self.name.as_str(), self.namespace.clone(), objects, check);
        Ok(score.with_deadline(self.deadline))
    }
}

impl<T: Topology + KubernetesCluster + Prober> Score<T> for HttpServerScore {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified_or(self.resources())
    }
}
