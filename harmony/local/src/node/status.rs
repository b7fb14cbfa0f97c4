//! The state of the node and its components.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::component::Component;
use super::components;
use super::config::LocalNodeConfig;
use super::dns;
use super::error::LocalNodeError;
use super::preflight;
use super::ready;

/// A running component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentStatus {
    pub component: Component,
    pub pid: i32,
    /// Its start time, accurate to about two seconds.
    pub started: Timestamp,
    /// Resident memory in KiB.
    pub rss_kib: u64,
    pub log: PathBuf,
}

/// The state of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Nothing is running.
    Down,
    /// These components are not running; `up` starts them.
    Incomplete(Vec<Component>),
    /// Everything is running, but this does not work yet or any more.
    NotReady(String),
    /// Pods can run, and cluster DNS answers.
    Ready,
}

/// The node at one point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    pub health: Health,
    /// The running components, in the order in which they start.
    pub components: Vec<ComponentStatus>,
    pub kubeconfig: PathBuf,
}

impl NodeStatus {
    /// Resident memory of all components, in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.components
            .iter()
            .map(|component| component.rss_kib)
            .sum()
    }
}

pub(super) async fn status(config: &LocalNodeConfig) -> Result<NodeStatus, LocalNodeError> {
    config.validate()?;
    preflight::check_root()?;
    let layout = config.layout();
    let (running, twice) = components::all_leaders(config)?;
    let missing: Vec<Component> = Component::ALL
        .into_iter()
        .filter(|component| !running.contains_key(component))
        .collect();
    let health = if running.is_empty() {
        Health::Down
    } else if !missing.is_empty() {
        Health::Incomplete(missing)
    } else if let Some(one) = twice.first() {
        Health::NotReady(format!(
            "{} is running twice, also as pid {}",
            one.name, one.pid
        ))
    } else {
        health(config).await
    };
    let components = running
        .into_iter()
        .map(|(component, process)| ComponentStatus {
            component,
            pid: process.pid,
            started: process.started,
            rss_kib: process.rss_kib,
            log: super::launch_plan::log_of(&layout, component),
        })
        .collect();
    Ok(NodeStatus {
        health,
        components,
        kubeconfig: layout.kubeconfig("admin"),
    })
}

/// Checks each part, the most basic first, with short timeouts. The caller waits.
async fn health(config: &LocalNodeConfig) -> Health {
    const AT_MOST: Duration = Duration::from_secs(2);
    let not_ready = |what: &str| Health::NotReady(what.to_owned());
    let Ok(client) = ready::client(&config.layout().kubeconfig("admin")).await else {
        return not_ready("the admin kubeconfig cannot be used");
    };
    if !tokio::time::timeout(AT_MOST, ready::api_is_ready(&client))
        .await
        .unwrap_or(false)
    {
        return not_ready("the API server is not ready");
    }
    let node = ready::node_is_ready(&client, &config.name, Timestamp::UNIX_EPOCH);
    if tokio::time::timeout(AT_MOST, node).await.is_err() {
        return not_ready("the node is not Ready");
    }
    let answers = ready::until(|| dns::answers(config));
    match tokio::time::timeout(AT_MOST, answers).await {
        Ok(()) => Health::Ready,
        Err(_) => not_ready("cluster DNS does not answer"),
    }
}
