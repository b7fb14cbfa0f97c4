//! A simulated device: the real agent on simulated containers and a simulated disk.

use std::path::Path;
use std::time::Duration;

use harmony_fleet_adapters_nats::{NatsAuth, NatsOptions, NatsServers};
use harmony_fleet_agent::run_on;
use harmony_fleet_agent::testing::SimulatedPodman;
use harmony_fleet_agent::{PodmanSettings, Settings};
use harmony_reconciler_contracts::{DeviceId, DeviceInfo, HeartbeatInterval, TenantId, subjects};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::disk::ObservedDisk;

/// A running device.
#[derive(Debug)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its containers.
    pub podman: SimulatedPodman,
    /// Its disk.
    pub disk: ObservedDisk,
    stop: CancellationToken,
    agent: JoinHandle<()>,
}

impl Device {
    /// Starts the agent, with the settings of a new installation.
    pub fn boot(
        number: usize,
        tenant: &TenantId,
        servers: NatsServers,
        auth: NatsAuth,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let name = format!("device-{number:05}");
        let id: DeviceId = name.parse()?;
        let mut nats =
            NatsOptions::new(servers, auth, format!("harmony-fleet-agent {tenant}.{id}"));
        nats.inbox_prefix = Some(subjects::device_inbox_prefix(&id));
        let settings = Settings {
            nats,
            tenant: tenant.clone(),
            device: id.clone(),
            interval: HeartbeatInterval::NOMINAL,
            info: DeviceInfo {
                agent_version: env!("CARGO_PKG_VERSION").into(),
                os: std::env::consts::OS.into(),
                arch: std::env::consts::ARCH.into(),
                hostname: name.as_str().into(),
                labels: "site=lyon".parse()?,
            },
            podman: PodmanSettings::new("/nonexistent"),
            state_dir: folder.join(&name),
        };
        let (podman, disk, stop) = (
            SimulatedPodman::default(),
            ObservedDisk::default(),
            CancellationToken::new(),
        );
        podman.take(STEP);
        let (containers, files, stopped) = (podman.clone(), disk.clone(), stop.clone());
        let agent = tokio::spawn(async move {
            if let Err(error) = run_on(&settings, &containers, files, stopped).await {
                tracing::error!(device = %settings.device, error = %harmony_fleet_domain::ErrorChain(&error), "the agent did not start");
            }
        });
        Ok(Self {
            id,
            podman,
            disk,
            stop,
            agent,
        })
    }

    /// Stops the agent.
    pub async fn stop(self) {
        self.stop.cancel();
        // Fails only if the agent panicked, which has been shown.
        let _ = self.agent.await;
    }
}

/// How long each step of podman takes.
const STEP: Duration = Duration::from_millis(50);
