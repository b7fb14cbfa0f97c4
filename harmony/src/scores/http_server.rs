//! One stateless program that serves HTTP: the Score most apps begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_core::capability::KubernetesCluster;
use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_core::verify::{READY_DEADLINE, ServicePort as CheckedPort, SmokeCheck, Verifiable};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_types::{ImageRef, Namespace, ResourceName};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Namespace as NamespaceObject, PodSpec,
    PodTemplateSpec, Probe, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{K8sResourceScore, pull_secret};

/// A program that serves HTTP, wherever it runs: a Deployment behind a Service of the same name, ready when its health
/// path answers 200.
#[derive(Debug, Clone)]
pub struct HttpServer {
    /// The name of the Deployment, of its container and of the Service.
    pub name: ResourceName,
    /// The port the program listens on; the Service offers the same.
    pub port: u16,
    /// The path that answers 200 when the program is able to serve, such as `/health`.
    pub health_path: String,
    /// How many pods.
    pub replicas: u16,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The Secret with the credentials for the image's registry, when that is private;
    /// [`PullSecretScore`](super::PullSecretScore) makes one.
    pub pull_secret: Option<ResourceName>,
}

impl HttpServer {
    /// One replica without environment variables, ready when `GET /` answers 200.
    pub fn new(name: impl Into<ResourceName>, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
            health_path: "/".into(),
            replicas: 1,
            env: BTreeMap::new(),
            pull_secret: None,
        }
    }

    /// That the health path answers 200 through the Service.
    pub fn checks(&self) -> Vec<SmokeCheck> {
        let service = CheckedPort {
            service: self.name.clone(),
            port: self.port,
        };
        vec![SmokeCheck::Http {
            service,
            path: self.health_path.clone(),
            status: 200,
            contains: None,
        }]
    }

    /// Its objects there, with that image; also what a chart of it holds.
    ///
    /// # Errors
    /// None for names that were parsed; the signature is that of everything that builds objects.
    pub fn objects(
        &self,
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
            KubeObject::new(&self.service(namespace))?,
            KubeObject::new(&self.deployment(namespace, &image.to_string()))?,
        ])
    }

    fn service(&self, namespace: &Namespace) -> Service {
        Service {
            metadata: self.metadata(namespace),
            spec: Some(ServiceSpec {
                selector: Some(self.labels()),
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

    fn deployment(&self, namespace: &Namespace, image: &str) -> Deployment {
        let env = self.env.iter().map(|(name, value)| EnvVar {
            name: name.clone(),
            value: Some(value.clone()),
            ..EnvVar::default()
        });
        let container = Container {
            name: self.name.to_string(),
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
            metadata: self.metadata(namespace),
            spec: Some(DeploymentSpec {
                replicas: Some(self.replicas.into()),
                selector: LabelSelector {
                    match_labels: Some(self.labels()),
                    ..LabelSelector::default()
                },
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(self.labels()),
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

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("app.kubernetes.io/name".to_owned(), self.name.to_string())])
    }

    fn metadata(&self, namespace: &Namespace) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.to_string()),
            namespace: Some(namespace.to_string()),
            labels: Some(self.labels()),
            ..ObjectMeta::default()
        }
    }
}

/// Runs an [`HttpServer`] in a namespace.
#[derive(Debug, Clone)]
pub struct HttpServerScore {
    /// What runs.
    pub server: HttpServer,
    /// Where it runs; created when it is missing.
    pub namespace: Namespace,
    /// The image.
    pub image: ImageRef,
    /// How long it may take to become ready.
    pub deadline: Duration,
}

impl HttpServerScore {
    /// With the usual deadline.
    pub fn new(server: HttpServer, namespace: Namespace, image: ImageRef) -> Self {
        Self {
            server,
            namespace,
            image,
            deadline: READY_DEADLINE,
        }
    }

    fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let name = self.server.name.to_string();
        let objects = self
            .server
            .objects(&self.namespace, &self.image)
            .map_err(|error| InterpretError::new(&name, error))?;
        let mut score = K8sResourceScore::new(name, self.namespace.clone(), objects);
        score.deadline = self.deadline;
        Ok(score)
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for HttpServerScore {
    fn name(&self) -> String {
        self.server.name.to_string()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for HttpServerScore {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        self.resources()?.execute(inventory, topology).await
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Verifiable<T> for HttpServerScore {
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        Verifiable::wait_ready(&self.resources()?, topology).await
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        self.server.checks()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
