//! What of the node runs, and whether it does its work.

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

/// One running component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentStatus {
    /// Which.
    pub component: Component,
    /// Its process.
    pub pid: i32,
    /// When it started, to about two seconds.
    pub started: Timestamp,
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Its log.
    pub log: PathBuf,
}

/// How far the node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Nothing of it runs.
    Down,
    /// These components do not run; `up` starts them.
    Incomplete(Vec<Component>),
    /// Everything runs, and this does not work yet, or not any more.
    NotReady(String),
    /// Pods can run, and cluster DNS answers.
    Ready,
}

/// The node at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// How far it is.
    pub health: Health,
    /// What runs, in the order of starting.
    pub components: Vec<ComponentStatus>,
    /// How to reach it.
    pub kubeconfig: PathBuf,
}

impl NodeStatus {
    /// Resident memory of all components together, in KiB.
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
        Health::NotReady(format!("{} runs twice, also as pid {}", one.name, one.pid))
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

/// Asks each part, the deepest first, with little patience: waiting is the caller's.
async fn health(config: &LocalNodeConfig) -> Health {
    const AT_MOST: Duration = Duration::from_secs(2);
    let not_ready = |what: &str| Health::NotReady(what.to_owned());
    let Ok(client) = ready::client(&config.layout().kubeconfig("admin")).await else {
        return not_ready("the administrator's kubeconfig is unusable");
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
