//! Which monitoring a cluster has: an instance of prometheus-operator that would read our resources, or none.

use std::collections::BTreeMap;

use harmony_core::capability::KubernetesCluster;
use harmony_core::kubernetes::{ObjectQuery, ObjectRef};
use harmony_types::{Namespace, ObjectName};
use serde_json::Value;

use super::MonitoringScore;
use super::error::MonitoringError;

/// The version of Prometheus, Alertmanager, ServiceMonitor and PrometheusRule.
pub(super) const V1: &str = "monitoring.coreos.com/v1";

/// Who runs Prometheus and Alertmanager.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProviderChoice {
    /// prometheus-operator, if the cluster has its definitions and a Prometheus and an Alertmanager; otherwise the
    /// Score itself.
    #[default]
    Detect,
    /// prometheus-operator.
    Operator,
    /// The Score itself.
    Plain,
}

/// The answer for one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Provider {
    Plain,
    Operator(Box<Found>),
}

/// The instances that will read our resources, and the labels by which they select them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) prometheus: Namespace,
    pub(super) monitor_labels: Labels,
    pub(super) rule_labels: Labels,
    pub(super) alertmanager: (Namespace, ObjectName),
    pub(super) alertmanager_labels: Labels,
}

type Labels = BTreeMap<String, String>;

/// A Prometheus or Alertmanager of the operator.
#[derive(Debug, Clone)]
struct Instance {
    reference: ObjectRef,
    spec: Value,
}

/// Looks for the operator, as far as the choice allows.
pub(super) async fn find(
    cluster: &dyn KubernetesCluster,
    score: &MonitoringScore,
) -> Result<Provider, MonitoringError> {
    if score.provider == ProviderChoice::Plain {
        return Ok(Provider::Plain);
    }
    let prometheuses = instances(cluster, "Prometheus").await?;
    let alertmanagers = instances(cluster, "Alertmanager").await?;
    let none = prometheuses.is_empty() || alertmanagers.is_empty();
    if none && score.provider == ProviderChoice::Detect {
        return Ok(Provider::Plain);
    }
    let labels = labels_of_namespace(cluster, &score.namespace).await?;
    match choose(&prometheuses, &alertmanagers, &score.namespace, &labels) {
        Ok(found) => Ok(Provider::Operator(Box::new(found))),
        Err(seen) => Err(MonitoringError::NoOperator {
            namespace: score.namespace.clone(),
            seen,
        }),
    }
}

async fn instances(
    cluster: &dyn KubernetesCluster,
    kind: &str,
) -> Result<Vec<Instance>, MonitoringError> {
    let query = ObjectQuery {
        api_version: V1.into(),
        kind: kind.into(),
        namespace: None,
        labels: BTreeMap::new(),
    };
    let mut found = Vec::new();
    for reference in cluster.list(&query).await? {
        if let Some(object) = cluster.get(&reference).await? {
            let spec = object.body().get("spec").cloned().unwrap_or_default();
            found.push(Instance { reference, spec });
        }
    }
    Ok(found)
}

async fn labels_of_namespace(
    cluster: &dyn KubernetesCluster,
    namespace: &Namespace,
) -> Result<Labels, MonitoringError> {
    let reference = ObjectRef {
        api_version: "v1".into(),
        kind: "Namespace".into(),
        namespace: None,
        name: namespace.into(),
    };
    let object = cluster.get(&reference).await?;
    let labels = object
        .as_ref()
        .and_then(|object| object.body().pointer("/metadata/labels"));
    let mut labels = strings(labels);
    // The API server sets it on every namespace, also on one that this deploy creates.
    labels.insert("kubernetes.io/metadata.name".into(), namespace.to_string());
    Ok(labels)
}

/// The first instances that read resources of the namespace. The error says why the others do not.
fn choose(
    prometheuses: &[Instance],
    alertmanagers: &[Instance],
    namespace: &Namespace,
    labels: &Labels,
) -> Result<Found, Vec<String>> {
    let mut seen = Vec::new();
    let prometheus = first(prometheuses, &mut seen, |one| {
        let monitors = adopted_by(one, "serviceMonitor", namespace, labels)?;
        let rules = adopted_by(one, "rule", namespace, labels)?;
        Ok((one, monitors, rules))
    });
    let alertmanager = first(alertmanagers, &mut seen, |one| {
        Ok((
            one,
            adopted_by(one, "alertmanagerConfig", namespace, labels)?,
        ))
    });
    for (kind, missing) in [
        ("Prometheus", prometheuses.is_empty()),
        ("Alertmanager", alertmanagers.is_empty()),
    ] {
        if missing {
            seen.push(format!("the cluster has no object of the kind {kind}"));
        }
    }
    let (
        Some((prometheus, monitor_labels, rule_labels)),
        Some((alertmanager, alertmanager_labels)),
    ) = (prometheus, alertmanager)
    else {
        return Err(seen);
    };
    let place = |one: &Instance| {
        one.reference
            .namespace
            .clone()
            .unwrap_or_else(|| namespace.clone())
    };
    Ok(Found {
        prometheus: place(prometheus),
        monitor_labels,
        rule_labels,
        alertmanager: (place(alertmanager), alertmanager.reference.name.clone()),
        alertmanager_labels,
    })
}

fn first<'a, R>(
    instances: &'a [Instance],
    seen: &mut Vec<String>,
    adopt: impl Fn(&'a Instance) -> Result<R, String>,
) -> Option<R> {
    for instance in instances {
        match adopt(instance) {
            Ok(found) => return Some(found),
            Err(reason) => seen.push(format!("{}: {reason}", instance.reference)),
        }
    }
    None
}

/// The labels that a resource in the namespace needs so that the instance reads it.
fn adopted_by(
    instance: &Instance,
    what: &str,
    namespace: &Namespace,
    labels: &Labels,
) -> Result<Labels, String> {
    let field = format!("{what}NamespaceSelector");
    let looks_there = match instance.spec.get(&field).filter(|value| !value.is_null()) {
        None => instance.reference.namespace.as_ref() == Some(namespace),
        Some(selector) => matches(selector, labels),
    };
    if !looks_there {
        return Err(format!(
            "its `{field}` does not select namespace `{namespace}`"
        ));
    }
    let field = format!("{what}Selector");
    match instance.spec.get(&field).filter(|value| !value.is_null()) {
        None => Err(format!("it has no `{field}`")),
        Some(selector) => Ok(satisfying(selector)),
    }
}

fn matches(selector: &Value, labels: &Labels) -> bool {
    let equal = strings(selector.get("matchLabels"));
    let equal = equal
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    equal
        && expressions(selector).all(|(key, operator, values)| {
            let value = labels.get(key);
            match operator {
                "In" => value.is_some_and(|value| values.contains(&value.as_str())),
                "NotIn" => value.is_none_or(|value| !values.contains(&value.as_str())),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// Labels that the selector matches.
fn satisfying(selector: &Value) -> Labels {
    let mut labels = strings(selector.get("matchLabels"));
    for (key, operator, values) in expressions(selector) {
        let value = match operator {
            "In" => values.first().copied(),
            "Exists" => Some("true"),
            _ => None,
        };
        if let Some(value) = value {
            labels
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    labels
}

fn expressions(selector: &Value) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
    let all = selector.get("matchExpressions").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|one| {
        let values = one.get("values").and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        Some((
            one.get("key")?.as_str()?,
            one.get("operator")?.as_str()?,
            values.collect(),
        ))
    })
}

fn strings(map: Option<&Value>) -> Labels {
    let map = map.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn instance(kind: &str, spec: Value) -> Instance {
        Instance {
            reference: ObjectRef {
                api_version: V1.into(),
                kind: kind.into(),
                namespace: Some("monitoring".parse().unwrap()),
                name: "main".parse().unwrap(),
            },
            spec,
        }
    }

    fn choice(prometheus: Value, alertmanager: Value) -> Result<Found, Vec<String>> {
        let labels = Labels::from([("team".into(), "shop".into())]);
        choose(
            &[instance("Prometheus", prometheus)],
            &[instance("Alertmanager", alertmanager)],
            &"shop".parse().unwrap(),
            &labels,
        )
    }

    #[test]
    fn resources_get_the_labels_that_the_instance_selects() {
        let release = json!({ "matchLabels": { "release": "kube" } });
        let found = choice(
            json!({
                "serviceMonitorNamespaceSelector": {}, "serviceMonitorSelector": release,
                "ruleNamespaceSelector": { "matchLabels": { "team": "shop" } },
                "ruleSelector": { "matchExpressions": [{ "key": "role", "operator": "In", "values": ["alerts", "x"] }] },
            }),
            json!({ "alertmanagerConfigNamespaceSelector": {}, "alertmanagerConfigSelector": {} }),
        );
        let found = found.unwrap();
        assert_eq!(
            found.monitor_labels,
            strings(Some(&json!({ "release": "kube" })))
        );
        assert_eq!(
            found.rule_labels,
            strings(Some(&json!({ "role": "alerts" })))
        );
        assert!(found.alertmanager_labels.is_empty());
        assert_eq!(found.prometheus.as_str(), "monitoring");
    }

    #[test]
    fn an_instance_that_would_not_read_them_says_why() {
        let all = json!({});
        let seen = choice(
            json!({ "serviceMonitorSelector": all, "ruleSelector": all }),
            json!({ "alertmanagerConfigNamespaceSelector": all }),
        );
        assert_eq!(
            seen.unwrap_err(),
            [
                "Prometheus monitoring/main: its `serviceMonitorNamespaceSelector` does not select namespace `shop`",
                "Alertmanager monitoring/main: it has no `alertmanagerConfigSelector`",
            ]
        );
        let seen = choose(&[], &[], &"shop".parse().unwrap(), &Labels::new());
        assert_eq!(seen.unwrap_err().len(), 2);
    }
}
