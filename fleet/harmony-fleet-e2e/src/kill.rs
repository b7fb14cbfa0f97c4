//! Kills an app in its pod, whose processes are processes of this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use harmony::K8sAnywhereTopology;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::{ObjectQuery, ObjectRef};
use harmony::types::Namespace;
use rustix::process::{Pid, Signal, kill_process};

use crate::stack::eventually;

const PATIENCE: Duration = Duration::from_secs(120);

/// Kills the program in the only pod of an app, and again after its restart, because Kubernetes restarts it at once only
/// after the first time.
///
/// # Errors
/// The pod or its process was not found.
pub async fn kill_twice(
    local: &K8sAnywhereTopology,
    namespace: &Namespace,
    app: &str,
) -> anyhow::Result<()> {
    let pod = pod_of(local, namespace, app).await?;
    let first = kill(&pod, app, None).await?;
    kill(&pod, app, Some(first)).await.map(drop)
}

/// The UID of the only pod of the app.
async fn pod_of(
    local: &K8sAnywhereTopology,
    namespace: &Namespace,
    app: &str,
) -> anyhow::Result<String> {
    let pods = ObjectQuery {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: Some(namespace.clone()),
        labels: BTreeMap::new(),
    };
    let pods = local.list(&pods).await?;
    let pod = pods
        .iter()
        .find(|pod| pod.name.as_str().starts_with(&format!("{app}-")) && !is_monitoring(pod));
    let pod = local
        .get(pod.context("a pod")?)
        .await?
        .context("it exists")?;
    let uid = pod.body()["metadata"]["uid"].as_str();
    Ok(uid.context("it has a UID")?.to_owned())
}

fn is_monitoring(pod: &ObjectRef) -> bool {
    ["prometheus", "alertmanager"]
        .iter()
        .any(|part| pod.name.as_str().contains(part))
}

/// Kills the program in a pod. Returns its process id, which is not `before`.
async fn kill(pod: &str, program: &str, before: Option<Pid>) -> anyhow::Result<Pid> {
    let process = eventually(PATIENCE, async || {
        let processes = std::fs::read_dir("/proc")?.flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let found = pids.filter_map(Pid::from_raw).find(|pid| {
            let read = |name| {
                let path = format!("/proc/{}/{name}", pid.as_raw_nonzero());
                std::fs::read_to_string(path).unwrap_or_default()
            };
            Some(*pid) != before && read("comm").trim() == program && read("cgroup").contains(pod)
        });
        Ok(found)
    });
    let process = process.await?;
    kill_process(process, Signal::KILL)?;
    Ok(process)
}
