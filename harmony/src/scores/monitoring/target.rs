//! What is scraped.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::{Namespace, ResourceName};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Marks the Service of a target, for the resources of prometheus-operator.
pub(super) const TARGET: &str = "harmony.dev/metrics-of";

/// The name of the port of the Service of a target.
pub(super) const PORT_NAME: &str = "metrics";

/// Pods that serve metrics. Every pod with the labels is scraped, whether it is ready or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// The name: the label `job` of its metrics.
    pub name: ResourceName,
    /// The namespace of the pods.
    pub namespace: Namespace,
    /// The labels of the pods.
    pub labels: BTreeMap<String, String>,
    /// The port of the pods.
    pub port: u16,
    /// The path of the metrics.
    pub path: String,
}

impl ScrapeTarget {
    /// The pods with the label `app.kubernetes.io/name`, at `/metrics`.
    pub fn new(name: ResourceName, namespace: Namespace, port: u16) -> Self {
        let labels = BTreeMap::from([("app.kubernetes.io/name".to_owned(), name.to_string())]);
        Self {
            name,
            namespace,
            labels,
            port,
            path: "/metrics".into(),
        }
    }

    /// Sets the path.
    #[must_use]
    pub fn with_path(self, path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            ..self
        }
    }

    /// The name of its Service.
    pub(super) fn service_name(&self) -> String {
        format!("{}-metrics", self.name)
    }

    /// A Service without an address of its own, whose DNS name lists all pods. The app's own Service would lead to one
    /// ready pod at a time.
    pub(super) fn service(&self) -> Result<KubeObject, ObjectError> {
        KubeObject::new(&Service {
            metadata: ObjectMeta {
                name: Some(self.service_name()),
                namespace: Some(self.namespace.to_string()),
                labels: Some(BTreeMap::from([(TARGET.to_owned(), self.name.to_string())])),
                ..ObjectMeta::default()
            },
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".into()),
                publish_not_ready_addresses: Some(true),
                selector: Some(self.labels.clone()),
                ports: Some(vec![ServicePort {
                    name: Some(PORT_NAME.into()),
                    port: self.port.into(),
                    protocol: Some("TCP".into()),
                    target_port: Some(IntOrString::Int(self.port.into())),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        })
    }
}
