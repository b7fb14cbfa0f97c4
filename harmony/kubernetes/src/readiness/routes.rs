//! Readiness of Services and Ingresses.

use std::sync::Arc;

use harmony_core::verify::FailureClass;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressServiceBackend};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::Selector;
use serde_json::Value;

use super::assessment::{Assessment, Waiting};
use super::container::Finding;
use super::observed::{Surroundings, label, name};
use super::selection;
use super::state::ready_of;

/// How long controllers may take to process what was just applied. What is missing after that stays missing.
const GRACE: i64 = 5;

pub(super) fn service(object: &Service, around: &Surroundings) -> Assessment {
    let Some(spec) = &object.spec else {
        return Assessment::Ready;
    };
    let labels = spec.selector.clone().unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") || labels.is_empty() {
        return Assessment::Ready;
    }
    let selector: Selector = labels.into_iter().collect();
    let own = name(&object.metadata);
    let slices: Vec<_> = around
        .endpoints
        .iter()
        .filter(|slice| label(&slice.metadata, "kubernetes.io/service-name") == Some(own))
        .collect();
    let is_ready = |ready: Option<bool>| ready != Some(false);
    // A named port that no container has creates an endpoint without that port: nothing can be reached.
    let leads_somewhere = |port: Option<&str>| {
        slices.iter().any(|slice| {
            let ports = slice.ports.iter().flatten();
            let has_port = ports.into_iter().any(|there| there.name.as_deref() == port);
            let mut endpoints = slice.endpoints.iter();
            has_port
                && endpoints.any(|endpoint| {
                    is_ready(endpoint.conditions.as_ref().and_then(|all| all.ready))
                })
        })
    };
    let ports: Vec<_> = spec.ports.iter().flatten().collect();
    let unserved: Vec<_> = ports
        .iter()
        .filter(|port| {
            !leads_somewhere(Some(port.name.as_deref().unwrap_or_default()))
                && !leads_somewhere(port.name.as_deref())
        })
        .collect();
    let has_endpoint = slices.iter().any(|slice| {
        let mut endpoints = slice.endpoints.iter();
        endpoints.any(|endpoint| is_ready(endpoint.conditions.as_ref().and_then(|all| all.ready)))
    });
    // A headless Service may have no ports.
    if has_endpoint && (ports.is_empty() || unserved.is_empty()) {
        return Assessment::Ready;
    }
    let pods = selection::pods(&selector, around);
    if pods.is_empty() {
        return without_pods(&selector, around);
    }
    if ready_of(&pods) == 0 {
        // Problems of its pods are reported by their workload, whose revision is known.
        return Waiting::because(format!(
            "none of the {} pods with its labels {selector} is ready",
            pods.len()
        ));
    }
    let named = unserved.iter().find_map(|port| match &port.target_port {
        Some(IntOrString::String(target)) if !has_port(&pods, target) => Some(target),
        _ => None,
    });
    match named {
        Some(target) => {
            let what = format!("refers to the port `{target}`, which no container of its pods has");
            let seen = format!("targetPort {target}; the pods have {}", port_names(&pods));
            let hint = "set `targetPort` to a port of the container, or give this name to the port of the container";
            let finding = Finding::new(FailureClass::NotReady, GRACE, what.clone(), seen, hint);
            Waiting::with(what, finding)
        }
        None => Waiting::because("its pods are ready, but it has no endpoint yet"),
    }
}

/// No pod has its labels: intended, or a mistake.
fn without_pods(selector: &Selector, around: &Surroundings) -> Assessment {
    let workloads = selection::workloads(selector, around);
    let is_scaled_to_zero =
        |workload: &&Value| workload.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0);
    if !workloads.is_empty() && workloads.iter().all(is_scaled_to_zero) {
        return Assessment::Ready;
    }
    let why = format!("no pod has its labels {selector}");
    if !workloads.is_empty() {
        return Waiting::because(why);
    }
    let hint = "make the selector of the Service match the labels of the pod template";
    Waiting::with(why, selection::nothing(selector, around, hint))
}

pub(super) fn ingress(object: &Ingress, around: &Surroundings) -> Assessment {
    let Some(spec) = &object.spec else {
        return Assessment::Ready;
    };
    let mut backends: Vec<&IngressBackend> = spec.default_backend.iter().collect();
    for rule in spec.rules.iter().flatten() {
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        backends.extend(paths.map(|path| &path.backend));
    }
    let services = around.services.as_deref().unwrap_or_default();
    let missing = backends
        .iter()
        .filter_map(|backend| backend.service.as_ref())
        .find_map(|backend| missing_backend(backend, services));
    if let Some(what) = missing.filter(|_| around.services.is_some()) {
        let hint = "use a Service in the same namespace and one of its ports";
        let finding = Finding::new(
            FailureClass::MissingReference,
            GRACE,
            what.clone(),
            what.clone(),
            hint,
        );
        return Waiting::with(what, finding);
    }
    match missing_class(object, around) {
        Some((what, seen)) => {
            let hint = "install an ingress controller, or set `ingressClassName` to a class of the cluster";
            let finding = Finding::new(
                FailureClass::MissingReference,
                GRACE,
                what.clone(),
                seen,
                hint,
            );
            Waiting::with(what, finding)
        }
        None => Assessment::Ready,
    }
}

fn missing_backend(backend: &IngressServiceBackend, services: &[Arc<Service>]) -> Option<String> {
    let service = services
        .iter()
        .find(|service| name(&service.metadata) == backend.name);
    let Some(service) = service else {
        return Some(format!(
            "refers to the Service `{}`, which does not exist",
            backend.name
        ));
    };
    let port = backend.port.as_ref()?;
    let mut ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    let has_port = ports.any(|there| {
        port.number == Some(there.port) || (port.name.is_some() && port.name == there.name)
    });
    let shown = match (&port.name, port.number) {
        (Some(name), _) => name.clone(),
        (None, Some(number)) => number.to_string(),
        (None, None) => return None,
    };
    (!has_port).then(|| {
        format!(
            "refers to the port {shown} of the Service `{}`, which does not exist",
            backend.name
        )
    })
}

/// The missing class, and the existing ones.
fn missing_class(object: &Ingress, around: &Surroundings) -> Option<(String, String)> {
    const ANNOTATION: &str = "kubernetes.io/ingress.class";
    const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
    let classes = around.ingress_classes.as_deref()?;
    let annotations = object.metadata.annotations.as_ref();
    // The old annotation is only known to the controller; no object represents it.
    if annotations.is_some_and(|all| all.contains_key(ANNOTATION)) {
        return None;
    }
    let names: Vec<&str> = classes.iter().map(|class| name(&class.metadata)).collect();
    let seen = if names.is_empty() {
        "the cluster has no ingress class".to_owned()
    } else {
        format!("classes: {}", names.join(", "))
    };
    match object.spec.as_ref()?.ingress_class_name.as_deref() {
        Some(class) if names.contains(&class) => None,
        Some(class) => Some((
            format!("has the class `{class}`, which does not exist"),
            seen,
        )),
        None => {
            let is_default = |value: Option<&String>| value.is_some_and(|value| value == "true");
            let has_default = classes.iter().any(|class| {
                is_default(
                    class
                        .metadata
                        .annotations
                        .as_ref()
                        .and_then(|all| all.get(DEFAULT)),
                )
            });
            (!has_default).then(|| {
                (
                    "has no class, and the cluster has no default one".to_owned(),
                    seen,
                )
            })
        }
    }
}

fn container_ports(pods: &[Arc<Pod>]) -> impl Iterator<Item = &str> {
    let containers = pods.iter().flat_map(|pod| pod.spec.iter());
    let containers = containers.flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    });
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| port.name.as_deref())
}

fn has_port(pods: &[Arc<Pod>], wanted: &str) -> bool {
    container_ports(pods).any(|port| port == wanted)
}

fn port_names(pods: &[Arc<Pod>]) -> String {
    let mut names: Vec<&str> = container_ports(pods).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "no named port".into()
    } else {
        names.join(", ")
    }
}
