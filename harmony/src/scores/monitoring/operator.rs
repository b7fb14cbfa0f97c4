//! The resources of prometheus-operator: a `ServiceMonitor` for each target, a `PrometheusRule`, an
//! `AlertmanagerConfig`. Only the fields that we set.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_core::verify::ServicePort;
use harmony_types::Namespace;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::proof::Endpoints;
use super::provider::{Found, V1};
use super::target::{self, ScrapeTarget};
use super::{MonitoringScore, duration, plain, routes};

/// The version of AlertmanagerConfig.
const V1ALPHA1: &str = "monitoring.coreos.com/v1alpha1";

/// The Services and ports that the operator creates.
const PROMETHEUS: (&str, u16) = ("prometheus-operated", 9090);
const ALERTMANAGER: (&str, u16) = ("alertmanager-operated", 9093);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<S> {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: S,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceMonitorSpec {
    namespace_selector: NamespaceSelector,
    selector: Selector,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceSelector {
    match_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    port: &'static str,
    path: String,
    interval: String,
    relabelings: Vec<Relabeling>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relabeling {
    target_label: &'static str,
    replacement: String,
}

#[derive(Serialize)]
struct PrometheusRuleSpec {
    groups: Vec<Value>,
}

/// All objects. None of them has a readiness of its own.
pub(super) fn build(
    score: &MonitoringScore,
    found: &Found,
) -> Result<Vec<KubeObject>, ObjectError> {
    let namespace = NamespaceObject {
        metadata: ObjectMeta {
            name: Some(score.namespace.to_string()),
            ..ObjectMeta::default()
        },
        ..NamespaceObject::default()
    };
    let mut objects = vec![KubeObject::new(&namespace)?];
    for target in &score.targets {
        objects.push(target.service()?);
        objects.push(KubeObject::new(&service_monitor(score, target, found))?);
    }
    let rules = Resource {
        api_version: V1,
        kind: "PrometheusRule",
        metadata: metadata(score.name.to_string(), &score.namespace, &found.rule_labels),
        spec: PrometheusRuleSpec {
            groups: plain::rule_groups(score),
        },
    };
    objects.push(KubeObject::new(&rules)?);
    let receivers = Resource {
        api_version: V1ALPHA1,
        kind: "AlertmanagerConfig",
        metadata: metadata(
            score.name.to_string(),
            &score.namespace,
            &found.alertmanager_labels,
        ),
        spec: routes::for_operator(score),
    };
    objects.push(KubeObject::new(&receivers)?);
    for dashboard in &score.dashboards {
        objects.push(dashboard.object(&score.name, &score.namespace)?);
    }
    Ok(objects)
}

fn service_monitor(
    score: &MonitoringScore,
    target: &ScrapeTarget,
    found: &Found,
) -> Resource<ServiceMonitorSpec> {
    let relabeling = |target_label, replacement: &str| Relabeling {
        target_label,
        replacement: replacement.to_owned(),
    };
    Resource {
        api_version: V1,
        kind: "ServiceMonitor",
        metadata: metadata(
            format!("{}-{}", score.name, target.name),
            &score.namespace,
            &found.monitor_labels,
        ),
        spec: ServiceMonitorSpec {
            namespace_selector: NamespaceSelector {
                match_names: vec![target.namespace.to_string()],
            },
            selector: Selector {
                match_labels: BTreeMap::from([(
                    target::TARGET.to_owned(),
                    target.name.to_string(),
                )]),
            },
            endpoints: vec![Endpoint {
                port: target::PORT_NAME,
                path: target.path.clone(),
                interval: duration(score.timing.scrape),
                // The rules select a target by its job.
                relabelings: vec![
                    relabeling("job", target.name.as_str()),
                    relabeling("namespace", target.namespace.as_str()),
                ],
            }],
        },
    }
}

fn metadata(name: String, namespace: &Namespace, labels: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(namespace.to_string()),
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    }
}

/// Where the instances of the operator answer.
pub(super) fn endpoints(found: &Found) -> Result<Endpoints, ObjectError> {
    let service = |(name, port): (&str, u16)| ServicePort {
        service: name.parse().expect("a valid name"),
        port,
    };
    let (namespace, name) = &found.alertmanager;
    let workload = format!("alertmanager-{name}");
    let workload = workload
        .parse()
        .map_err(|source| ObjectError::InvalidName {
            field: "metadata.name",
            kind: "StatefulSet".into(),
            source,
        })?;
    Ok(Endpoints {
        prometheus: (found.prometheus.clone(), service(PROMETHEUS)),
        alertmanager: (namespace.clone(), service(ALERTMANAGER)),
        alertmanager_workload: ObjectRef {
            api_version: "apps/v1".into(),
            kind: "StatefulSet".into(),
            namespace: Some(namespace.clone()),
            name: workload,
        },
    })
}
