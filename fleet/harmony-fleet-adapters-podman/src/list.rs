//! Which containers are ours, and whether they run.

use std::collections::BTreeSet;
use std::time::Duration;

use harmony_fleet_domain::{ContainerId, LiveContainer, LiveState, RuntimeError};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::client::{Call, Client, encoded};
use crate::error::from_call;
use crate::labels::{self, DEPLOYMENT, Labels};
use crate::{inspect, oom, words};

/// The exit code of a program that was killed with SIGKILL.
const KILLED: i32 = 137;

/// A container in podman's list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: Option<Labels>,
    state: String,
    #[serde(default)]
    exit_code: i32,
    /// In seconds since 1970, like the next one.
    #[serde(default)]
    started_at: i64,
    #[serde(default)]
    exited_at: i64,
}

/// All containers with our labels. `warned` has those that were left out before.
pub(crate) async fn list(
    client: &Client,
    warned: &Mutex<BTreeSet<String>>,
) -> Result<Vec<LiveContainer>, RuntimeError> {
    let filter = encoded(&format!(r#"{{"label":["{DEPLOYMENT}"]}}"#));
    let call = Call::get(format!("/containers/json?all=true&filters={filter}"));
    let listed: Vec<Listed> = client
        .read(call)
        .await
        .map_err(|error| from_call(error, words::of_container))?;
    let mut containers = Vec::new();
    let mut left_out = BTreeSet::new();
    for entry in listed {
        match live(&entry) {
            Ok(mut container) => {
                if let LiveState::Ended { code: KILLED, .. } = container.state {
                    let out_of_memory = is_out_of_memory(client, &container.id).await?;
                    container.state = LiveState::Ended {
                        code: KILLED,
                        out_of_memory,
                    };
                }
                containers.push(container);
            }
            Err(problem) => {
                left_out.insert(entry.id.clone());
                if !warned.lock().await.contains(&entry.id) {
                    tracing::warn!(container = entry.id, "container is ignored: {problem}");
                }
            }
        }
    }
    *warned.lock().await = left_out;
    Ok(containers)
}

fn live(entry: &Listed) -> Result<LiveContainer, String> {
    let empty = Labels::new();
    let identity = labels::read(entry.labels.as_ref().unwrap_or(&empty))?;
    Ok(LiveContainer {
        id: ContainerId(entry.id.clone()),
        deployment: identity.deployment,
        name: identity.name,
        hash: identity.hash,
        image: Some(identity.image.digest().to_owned()),
        state: state(&entry.state, entry.exit_code),
        lived: entry
            .exited_at
            .checked_sub(entry.started_at)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
    })
}

fn state(word: &str, code: i32) -> LiveState {
    match word {
        "created" | "configured" | "initialized" => LiveState::Created,
        // While it is being stopped, it still runs.
        "running" | "stopping" => LiveState::Running,
        "stopped" | "exited" | "removing" => LiveState::Ended {
            code,
            out_of_memory: false,
        },
        _ => LiveState::Paused,
    }
}

async fn is_out_of_memory(client: &Client, id: &ContainerId) -> Result<bool, RuntimeError> {
    let inspected = inspect::ours(client, id).await?;
    if inspected.is_some_and(|inspected| inspected.state.oom_killed) {
        return Ok(true);
    }
    Ok(oom::kernel_says(&id.0).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(labels: &[(&str, &str)]) -> Listed {
        Listed {
            id: "1".into(),
            labels: Some(
                labels
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            state: "exited".into(),
            exit_code: 3,
            started_at: 100,
            exited_at: 105,
        }
    }

    #[test]
    fn a_container_is_read_from_its_labels() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = format!("r.example/app@{digest}");
        let mut labels = vec![
            ("io.harmony.fleet.deployment", "shop"),
            ("io.harmony.fleet.container", "web"),
            ("io.harmony.fleet.hash", "0123456789abcdef"),
            ("io.harmony.fleet.image", image.as_str()),
        ];
        let container = live(&entry(&labels)).unwrap();
        assert_eq!(container.deployment.as_str(), "shop");
        assert_eq!(container.image, Some(digest));
        let ended = LiveState::Ended {
            code: 3,
            out_of_memory: false,
        };
        assert_eq!(container.state, ended);

        labels[2].1 = "not a hash";
        assert!(live(&entry(&labels)).unwrap_err().contains("fleet.hash"));
        labels.remove(2);
        assert!(live(&entry(&labels)).unwrap_err().contains("missing"));
    }

    #[test]
    fn an_unknown_state_is_not_an_end() {
        assert_eq!(state("initialized", 0), LiveState::Created);
        assert_eq!(state("stopping", 0), LiveState::Running);
        assert_eq!(state("paused", 0), LiveState::Paused);
        assert_eq!(state("something new", 0), LiveState::Paused);
    }
}
