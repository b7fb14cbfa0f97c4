//! A simulated device and the agent on it.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_fleet_agent::testing::{SimulatedDisk, SimulatedPodman};
use harmony_fleet_agent::workload::reconciler::{Observed, Reconciler};
use harmony_fleet_agent::workload::store::Store;
use harmony_fleet_domain::FleetDeployment;
use harmony_reconciler_contracts::{
    DesiredState, DeviceId, Generation, ObservedDeployment, Phase, SchemaVersion,
};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub(crate) fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

/// A desired state with these deployments, each of one container `c` with the image of this letter.
pub(crate) fn desired(generation: u64, deployments: &[(&str, char)]) -> DesiredState {
    let container = |letter: char| {
        json!({
            "image": format!("r.example.com/app@{}", digest(letter)),
            "health": if letter.is_ascii_lowercase() { json!(null) } else {
                json!({"command": ["check"], "retries": 2})
            },
        })
    };
    let deployments = deployments.iter().map(|(name, letter)| {
        // Image digests are hexadecimal, so an upper-case letter only asks for a health check.
        let mut container = container(*letter);
        container["image"] = json!(format!(
            "r.example.com/app@{}",
            digest(letter.to_ascii_lowercase())
        ));
        score(
            name,
            json!({"type": "PodmanV0", "data": {"containers": {"c": container}}}),
        )
    });
    state(generation, deployments)
}

pub(crate) fn score(name: &str, score: serde_json::Value) -> FleetDeployment {
    let stored: harmony_reconciler_contracts::StoredDeployment = serde_json::from_value(json!({
        "name": name, "target": {"all": true}, "score": score,
    }))
    .unwrap();
    stored.into()
}

pub(crate) fn state(
    generation: u64,
    deployments: impl IntoIterator<Item = FleetDeployment>,
) -> DesiredState {
    DesiredState {
        version: SchemaVersion::CURRENT,
        generation: Generation(generation),
        deployments: deployments
            .into_iter()
            .map(|it| (it.name, it.content))
            .collect(),
    }
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Device {
    pub(crate) podman: SimulatedPodman,
    pub(crate) disk: SimulatedDisk,
}

/// A running agent. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    desired: mpsc::Sender<DesiredState>,
    observed: watch::Receiver<Observed>,
    task: JoinHandle<()>,
}

impl Device {
    pub(crate) fn id() -> DeviceId {
        "pump-1".parse().unwrap()
    }

    /// Starts the agent.
    pub(crate) fn boot(&self) -> Agent {
        let (store, memory) = Store::open(self.disk.clone(), &Self::id());
        let (observed, watch) = watch::channel(Observed::default());
        let (desired, states) = mpsc::channel(4);
        let podman = self.podman.clone();
        let task = tokio::spawn(async move {
            Reconciler::new(&podman, store, memory, observed, || 0)
                .run(states)
                .await;
        });
        Agent {
            desired,
            observed: watch,
            task,
        }
    }

    /// The images that run, by the name of the container.
    pub(crate) fn running(&self) -> BTreeMap<String, char> {
        let containers = self.podman.containers().into_iter();
        containers
            .filter(|(_, live)| live.state == harmony_fleet_domain::LiveState::Running)
            .map(|(name, live)| (name, live.image.unwrap().chars().nth(7).unwrap()))
            .collect()
    }
}

impl Agent {
    pub(crate) async fn tell(&self, state: DesiredState) {
        self.desired.send(state).await.unwrap();
    }

    /// Lets this time pass, and returns what the agent tells of a deployment.
    pub(crate) async fn after(&self, seconds: u64, deployment: &str) -> Option<ObservedDeployment> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let observed = self.observed.borrow();
        observed
            .deployments
            .get(&deployment.parse().unwrap())
            .cloned()
    }

    pub(crate) async fn phase_after(&self, seconds: u64, deployment: &str) -> Option<Phase> {
        Some(self.after(seconds, deployment).await?.phase)
    }

    pub(crate) fn observed(&self) -> Observed {
        self.observed.borrow().clone()
    }

    /// Waits until the agent tells that this holds, for at most an hour.
    pub(crate) async fn wait_for(&mut self, holds: impl FnMut(&Observed) -> bool) -> Observed {
        let limit = Duration::from_secs(3600);
        let observed = tokio::time::timeout(limit, self.observed.wait_for(holds)).await;
        let observed = observed.expect("it never held").unwrap();
        observed.clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn containers(expected: &[(&str, char)]) -> BTreeMap<String, char> {
    expected
        .iter()
        .map(|(name, letter)| ((*name).to_owned(), *letter))
        .collect()
}
