//! Finds the pod of a workload that a check looks into, and reads its log.

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::ProbeFailure;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use serde_json::Value;
use tokio::time::timeout;

use super::seen;
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::kinds::segment;

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

const LOG_BYTES: i64 = 256 * 1024;

/// The last lines of the log of the workload's newest ready pod.
pub(super) async fn log(
    connection: &Connection,
    workload: &ObjectRef,
    lines: u16,
) -> Result<Vec<String>, ProbeFailure> {
    let read = async {
        let pod = ready_pod(connection, workload).await?;
        let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace_of(workload));
        let parameters = LogParams {
            container: default_container(&pod),
            tail_lines: Some(lines.into()),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        let name = pod.metadata.name.clone().unwrap_or_default();
        pods.logs(&name, &parameters).await.map_err(seen)
    };
    let log = timeout(REQUEST_TIMEOUT, read)
        .await
        .unwrap_or_else(|elapsed| Err(seen(elapsed)))?;
    Ok(log.lines().map(str::to_owned).collect())
}

pub(super) fn namespace_of(workload: &ObjectRef) -> &str {
    workload
        .namespace
        .as_ref()
        .map_or("default", |namespace| namespace.as_str())
}

pub(super) fn default_container(pod: &Pod) -> Option<String> {
    let named = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(DEFAULT_CONTAINER));
    let first = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    named
        .cloned()
        .or_else(|| first.map(|container| container.name.clone()))
}

/// The newest ready pod of a workload, by the workload's selector.
pub(super) async fn ready_pod(
    connection: &Connection,
    workload: &ObjectRef,
) -> Result<Pod, ProbeFailure> {
    let kind = connection.kind(workload).await.map_err(seen)?;
    let Some(kind) = kind else {
        return Err(ProbeFailure::new(format!(
            "the cluster does not know the kind of {workload}"
        )));
    };
    let api: Api<DynamicObject> = kind.api(&connection.client, workload);
    let object = api.get_opt(&segment(workload)).await.map_err(seen)?;
    let object = object.ok_or_else(|| ProbeFailure::new(format!("{workload} does not exist")))?;
    let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace_of(workload));
    if workload.kind == "Pod" {
        return pods.get(&segment(workload)).await.map_err(seen);
    }
    let selector = selector_of(&object.data)
        .ok_or_else(|| ProbeFailure::new(format!("{workload} has no selector for its pods")))?;
    let listed = pods
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(seen)?;
    let is_ready = |pod: &Pod| {
        let conditions = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        let mut conditions = conditions.filter(|one| one.type_ == "Ready");
        pod.metadata.deletion_timestamp.is_none() && conditions.any(|one| one.status == "True")
    };
    let ready = listed.items.into_iter().filter(is_ready);
    ready
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
        .ok_or_else(|| ProbeFailure::new(format!("{workload} has no ready pod")))
}

/// `app=web,tier in (front)`
fn selector_of(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?;
    let labels = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let mut parts: Vec<String> = labels
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in selector
        .get("matchExpressions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let key = expression["key"].as_str()?;
        let values: Vec<_> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_written_as_the_server_reads_it() {
        let object = json!({ "spec": { "selector": {
            "matchLabels": { "app": "web" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["front", "edge"] },
                { "key": "old", "operator": "DoesNotExist" },
            ],
        }}});
        assert_eq!(
            selector_of(&object).unwrap(),
            "app=web,tier in (front,edge),!old"
        );
        assert_eq!(selector_of(&json!({ "spec": {} })), None);
    }
}
