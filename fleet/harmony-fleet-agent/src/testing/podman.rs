//! Containers that behave as they are told, by the digest of their image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use harmony_fleet_domain::desired::container_name;
use harmony_fleet_domain::{
    Checked, ContainerId, ContainerRuntime, ContainerSigns, LiveContainer, LiveState, NewContainer,
    RuntimeError,
};
use harmony_reconciler_contracts::{FailureReason, PinnedImage};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What a container of an image does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// It runs, and its health check passes.
    #[default]
    Works,
    /// It cannot be pulled.
    CannotBePulled(FailureReason),
    /// It cannot be run.
    CannotBeRun(FailureReason),
    /// It ends with an exit code this long after each start.
    EndsAfter(Duration, i32),
    /// Its health check fails.
    Unhealthy,
}

/// The containers of a simulated device. Clones share them, as agents that run after each other do.
#[derive(Debug, Clone, Default)]
pub struct SimulatedPodman {
    device: Arc<Device>,
}

#[derive(Debug, Default)]
struct Device {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    containers: BTreeMap<String, Simulated>,
    images: BTreeSet<PinnedImage>,
    behaviours: BTreeMap<String, Behaviour>,
    next_id: u64,
    created: u64,
    /// How long each step takes.
    latency: Duration,
    offline: bool,
    down: bool,
    refuses_checks: bool,
    checks: u64,
}

#[derive(Debug, Clone)]
struct Simulated {
    live: LiveContainer,
    behaviour: Behaviour,
    started: Instant,
}

impl Simulated {
    fn now(&self, now: Instant) -> LiveContainer {
        let mut live = self.live.clone();
        if let (Behaviour::EndsAfter(lifetime, code), LiveState::Running) =
            (self.behaviour, live.state)
            && now >= self.started + lifetime
        {
            live.state = ended(code);
        }
        live
    }
}

fn ended(code: i32) -> LiveState {
    LiveState::Ended {
        code,
        out_of_memory: false,
    }
}

impl SimulatedPodman {
    /// Containers of the image with this digest behave so from now on, when they are created.
    pub fn behave(&self, digest: &str, behaviour: Behaviour) {
        let mut state = self.state();
        state.behaviours.insert(digest.to_owned(), behaviour);
    }

    /// Each step takes this long from now on.
    pub fn take(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Whether registries can be reached.
    pub fn set_offline(&self, offline: bool) {
        self.state().offline = offline;
    }

    /// Whether podman answers.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
        self.device.changed.notify_waiters();
    }

    /// Whether health checks cannot be made, as those of a container that is about to end.
    pub fn refuse_checks(&self, refuse: bool) {
        self.state().refuses_checks = refuse;
    }

    /// How many health checks were ever asked for.
    pub fn checks(&self) -> u64 {
        self.state().checks
    }

    /// The device loses power: all containers end.
    pub fn lose_power(&self) {
        for container in self.state().containers.values_mut() {
            if container.live.state == LiveState::Running {
                container.live.state = ended(137);
            }
        }
    }

    /// A person removes a container.
    pub fn take_away(&self, name: &str) {
        self.state().containers.remove(name);
        self.device.changed.notify_waiters();
    }

    /// A person stops a container.
    pub fn stop(&self, name: &str) {
        if let Some(container) = self.state().containers.get_mut(name) {
            container.live.state = ended(143);
        }
        self.device.changed.notify_waiters();
    }

    /// All containers by name, as they are now.
    pub fn containers(&self) -> BTreeMap<String, LiveContainer> {
        let now = Instant::now();
        let state = self.state();
        let all = state.containers.iter();
        all.map(|(name, container)| (name.clone(), container.now(now)))
            .collect()
    }

    /// How many containers were ever created.
    pub fn created(&self) -> u64 {
        self.state().created
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.device.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    async fn step(&self) -> Result<(), RuntimeError> {
        let latency = self.state().latency;
        if latency > Duration::ZERO {
            tokio::time::sleep(latency).await;
        }
        if self.state().down {
            return Err(error(FailureReason::PodmanUnavailable, "it is down"));
        }
        Ok(())
    }
}

fn error(reason: FailureReason, detail: &str) -> RuntimeError {
    RuntimeError {
        reason,
        detail: detail.to_owned(),
        source: None,
    }
}

#[async_trait]
impl ContainerRuntime for SimulatedPodman {
    async fn list(&self) -> Result<Vec<LiveContainer>, RuntimeError> {
        if self.state().down {
            return Err(error(FailureReason::PodmanUnavailable, "it is down"));
        }
        Ok(self.containers().into_values().collect())
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        self.step().await?;
        let mut state = self.state();
        if state.images.contains(image) {
            return Ok(());
        }
        if state.offline {
            return Err(error(
                FailureReason::RegistryUnreachable,
                "no route to host",
            ));
        }
        if let Some(Behaviour::CannotBePulled(reason)) = state.behaviours.get(image.digest()) {
            return Err(error(*reason, "as told"));
        }
        state.images.insert(image.clone());
        Ok(())
    }

    async fn run(&self, container: &NewContainer<'_>) -> Result<(), RuntimeError> {
        self.step().await?;
        let name = container_name(container.deployment, container.name.as_str());
        let mut state = self.state();
        let image = &container.spec.image;
        if !state.images.contains(image) {
            return Err(error(FailureReason::PodmanRefused, "no such image"));
        }
        if state.containers.contains_key(&name) {
            return Err(error(FailureReason::NameTaken, &name));
        }
        let behaviour = state.behaviours.get(image.digest()).copied();
        let behaviour = behaviour.unwrap_or_default();
        if let Behaviour::CannotBeRun(reason) = behaviour {
            return Err(error(reason, "as told"));
        }
        state.next_id += 1;
        state.created += 1;
        let live = LiveContainer {
            id: ContainerId(format!("c{}", state.next_id)),
            deployment: container.deployment.clone(),
            name: container.name.clone(),
            hash: container.hash.clone(),
            image: Some(image.digest().to_owned()),
            state: LiveState::Running,
            lived: None,
        };
        let started = Instant::now();
        state.containers.insert(
            name,
            Simulated {
                live,
                behaviour,
                started,
            },
        );
        drop(state);
        self.device.changed.notify_waiters();
        Ok(())
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.step().await?;
        let mut state = self.state();
        let found = state.containers.values_mut().find(|it| it.live.id == *id);
        match found {
            Some(container) => {
                container.live.state = LiveState::Running;
                container.started = Instant::now();
                Ok(())
            }
            None => Err(error(FailureReason::PodmanRefused, "no such container")),
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.step().await?;
        self.state().containers.retain(|_, it| it.live.id != *id);
        self.device.changed.notify_waiters();
        Ok(())
    }
}

#[async_trait]
impl ContainerSigns for SimulatedPodman {
    async fn check(&self, id: &ContainerId, _: &[String], _: u32) -> Result<Checked, RuntimeError> {
        self.step().await?;
        let mut state = self.state();
        state.checks += 1;
        if state.refuses_checks {
            return Err(error(FailureReason::PodmanRefused, "it is not running"));
        }
        let found = state.containers.values().find(|it| it.live.id == *id);
        Ok(match found {
            Some(container) if container.behaviour != Behaviour::Unhealthy => Checked::Passed,
            _ => Checked::Failed {
                words: "the check says no".to_owned(),
            },
        })
    }

    async fn last_lines(&self, _: &ContainerId, _: usize) -> Result<Vec<String>, RuntimeError> {
        self.step().await?;
        Ok(vec!["the last line".to_owned()])
    }

    async fn changed(&self) {
        let now = Instant::now();
        let ends = |it: &Simulated| match (it.behaviour, it.now(now).state) {
            (Behaviour::EndsAfter(lifetime, _), LiveState::Running) => Some(it.started + lifetime),
            _ => None,
        };
        let next_end = self.state().containers.values().filter_map(ends).min();
        let end = async {
            match next_end {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.device.changed.notified() => {}
            () = end => {}
        }
    }
}
