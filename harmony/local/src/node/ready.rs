//! Waits for the node, and checks that the components it needs are still running.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harmony_core::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Client, Config};

use super::component::Component;
use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::launch_plan;
use super::process::Handle;

/// The time between two checks of something that cannot be watched.
const EVERY: Duration = Duration::from_millis(25);
/// Long enough for a slow disk and a busy machine. An exit of a component is noticed immediately, so this limit is
/// rarely reached.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The processes that were running, and those that this run has started.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<BTreeMap<Component, Handle>>);

impl Processes {
    pub(super) fn add(&self, component: Component, process: Handle) {
        self.lock().insert(component, process);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Component, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output(&self, component: Component, log: &Path, lines: usize) -> Vec<String> {
        let processes = self.lock();
        processes
            .get(&component)
            .map(|process| process.output(log, lines))
            .unwrap_or_default()
    }

    fn first_ended(&self, needed: &[Component]) -> Option<Component> {
        let processes = self.lock();
        let ended = |component: &Component| processes.get(component).is_some_and(Handle::has_ended);
        needed.iter().copied().find(ended)
    }
}

/// Runs `wait` until it completes, the run is cancelled, one of `needed` exits, or it takes too long.
pub(super) async fn watched<F: Future>(
    ctx: &Context,
    config: &LocalNodeConfig,
    processes: &Processes,
    needed: &[Component],
    what: &str,
    wait: F,
) -> Result<F::Output, LocalNodeError> {
    let started = Instant::now();
    let waited = ctx.unless_cancelled(async {
        tokio::select! {
            biased;
            output = wait => Ok(output),
            component = first_to_end(processes, needed) => Err(died(config, processes, component)),
            () = tokio::time::sleep(PATIENCE) => Err(not_ready(config, processes, needed, what, started.elapsed())),
        }
    });
    waited.await?
}

async fn first_to_end(processes: &Processes, needed: &[Component]) -> Component {
    loop {
        if let Some(component) = processes.first_ended(needed) {
            return component;
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn died(config: &LocalNodeConfig, processes: &Processes, component: Component) -> LocalNodeError {
    const READ: usize = 200;
    let log = launch_plan::log_of(&config.layout(), component);
    let output = telling(&processes.output(component, &log, READ));
    LocalNodeError::ComponentDied {
        component,
        log,
        output,
    }
}

/// The lines at the end of a log that explain the problem: the first line of a panic, and errors and fatal errors as
/// marked by klog and zap. If there are none, the last lines.
fn telling(lines: &[String]) -> Vec<String> {
    const SHOWN: usize = 6;
    // A line of etcd's log can contain a complete stack trace.
    const WIDTH: usize = 240;
    let is_telling = |line: &&String| {
        let mut chars = line.chars();
        let klog = matches!(chars.next(), Some('E' | 'F'))
            && chars.next().is_some_and(|c| c.is_ascii_digit());
        klog || [
            "panic: ",
            "\"level\":\"fatal\"",
            "\"level\":\"error\"",
            "level=fatal",
            "level=error",
            "Error: ",
        ]
        .iter()
        .any(|mark| line.contains(mark))
    };
    let mut shown: Vec<String> = lines.iter().filter(is_telling).cloned().collect();
    if shown.is_empty() {
        shown = lines.to_vec();
    }
    let last = shown.split_off(shown.len().saturating_sub(SHOWN));
    last.iter()
        .map(|line| line.chars().take(WIDTH).collect())
        .collect()
}

fn not_ready(
    config: &LocalNodeConfig,
    processes: &Processes,
    needed: &[Component],
    what: &str,
    elapsed: Duration,
) -> LocalNodeError {
    let logs = config.layout().logs();
    let seen = needed
        .iter()
        .filter_map(|component| {
            let log = launch_plan::log_of(&config.layout(), *component);
            let last = processes.output(*component, &log, 1).pop()?;
            Some(format!("{component}: {last}"))
        })
        .collect();
    LocalNodeError::NotReady {
        what: what.to_owned(),
        seconds: elapsed.as_secs(),
        seen,
        logs,
    }
}

/// Repeats a check until it is true.
pub(super) async fn until<F: Future<Output = bool>>(mut ask: impl FnMut() -> F) {
    while !ask().await {
        tokio::time::sleep(EVERY).await;
    }
}

/// Returns true if something listens on this address.
pub(super) async fn listens(address: std::net::SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}

/// A client with admin permissions.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client, LocalNodeError> {
    let unusable = |error: kube::config::KubeconfigError| LocalNodeError::File {
        action: "use",
        path: kubeconfig.to_owned(),
        source: std::io::Error::other(error),
    };
    let read = Kubeconfig::read_from(kubeconfig).map_err(unusable)?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(unusable)?;
    // The client would use a proxy from the environment, but a proxy cannot reach the loopback interface of this
    // machine.
    config.proxy_url = None;
    Client::try_from(config).map_err(LocalNodeError::api("make a client for the API server"))
}

/// Returns true if the API server has completed everything it does after its start.
pub(super) async fn api_is_ready(client: &Client) -> bool {
    match http::Request::get("/readyz").body(Vec::new()) {
        Ok(request) => client.request_text(request).await.is_ok(),
        Err(_) => false,
    }
}

/// Waits until the kubelet that started at `since` has reported that the node is Ready. An older report does not count,
/// because it stays in the database while the node is stopped.
pub(super) async fn node_is_ready(client: &Client, name: &str, since: Timestamp) {
    let nodes: Api<Node> = Api::all(client.clone());
    let ready = |node: Option<&Node>| node.is_some_and(|node| says_ready(node, since));
    // The watch ends when the API server does, which the caller notices.
    while await_condition(nodes.clone(), name, ready).await.is_err() {
        tokio::time::sleep(EVERY).await;
    }
}

fn says_ready(node: &Node, since: Timestamp) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| {
        condition.type_ == "Ready"
            && condition.status == "True"
            // Kubernetes writes whole seconds.
            && condition.last_heartbeat_time.as_ref().is_some_and(|beat| beat.0.as_second() >= since.as_second())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_first_line() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let log = "I1121 fine\nE1121 refused\npanic: broken database\n\tgo.etcd.io/x.go:12\ngoroutine 1\n";
        assert_eq!(
            telling(&lines(log)),
            ["E1121 refused", "panic: broken database"]
        );
        let quiet = "Error\none\ntwo";
        assert_eq!(telling(&lines(quiet)), ["Error", "one", "two"]);
        assert!(telling(&[]).is_empty());
    }

    fn node(status: &str, beat: &str) -> Node {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" },
            "status": { "conditions": [
                { "type": "MemoryPressure", "status": "False", "lastHeartbeatTime": beat },
                { "type": "Ready", "status": status, "lastHeartbeatTime": beat },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn the_word_of_an_earlier_kubelet_does_not_count() {
        let since: Timestamp = "2026-01-01T00:00:10.7Z".parse().unwrap();
        assert!(says_ready(&node("True", "2026-01-01T00:00:10Z"), since));
        assert!(says_ready(&node("True", "2026-01-01T00:00:12Z"), since));
        assert!(!says_ready(&node("True", "2026-01-01T00:00:09Z"), since));
        assert!(!says_ready(&node("False", "2026-01-01T00:00:12Z"), since));
        assert!(!says_ready(&node("Unknown", "2026-01-01T00:00:12Z"), since));
        assert!(!says_ready(&Node::default(), since));
    }
}
