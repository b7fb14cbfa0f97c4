//! One container, and whether it is ours.

use harmony_fleet_domain::{ContainerId, RuntimeError};
use serde::Deserialize;

use crate::client::{Call, Client, encoded};
use crate::error::{from_call, refused};
use crate::labels::{DEPLOYMENT, Labels};
use crate::words;

/// What podman says about a container of ours.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspected {
    pub(crate) state: State,
    pub(crate) config: Config,
    /// The commands that run in it, apart from its program.
    #[serde(rename = "ExecIDs", default)]
    pub(crate) exec_ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    #[serde(rename = "OOMKilled", default)]
    pub(crate) oom_killed: bool,
    #[serde(default, alias = "Healthcheck")]
    pub(crate) health: Option<Health>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Health {
    #[serde(default)]
    pub(crate) log: Option<Vec<HealthLog>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HealthLog {
    pub(crate) exit_code: i32,
    #[serde(default)]
    pub(crate) output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(default)]
    pub(crate) healthcheck: Option<Healthcheck>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Healthcheck {
    #[serde(default)]
    pub(crate) test: Option<Vec<String>>,
}

/// The container, or nothing if it does not exist. A container that is not ours is an error.
pub(crate) async fn ours(
    client: &Client,
    id: &ContainerId,
) -> Result<Option<Inspected>, RuntimeError> {
    let call = Call::get(format!("/containers/{}/json", encoded(&id.0)));
    let inspected: Inspected = match client.read(call).await {
        Ok(inspected) => inspected,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(from_call(error, words::of_container)),
    };
    let labels = inspected.config.labels.as_ref();
    if labels.is_some_and(|labels| labels.contains_key(DEPLOYMENT)) {
        Ok(Some(inspected))
    } else {
        Err(refused(&format!(
            "the container {} was not created by the fleet",
            id.0
        )))
    }
}

/// The same for a container that has to exist.
pub(crate) async fn existing(client: &Client, id: &ContainerId) -> Result<Inspected, RuntimeError> {
    ours(client, id)
        .await?
        .ok_or_else(|| refused(&format!("the container {} does not exist", id.0)))
}
