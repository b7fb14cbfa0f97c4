//! The ports of the domain.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use harmony_fleet_domain::{
    Checked, ContainerId, ContainerRuntime, ContainerSigns, LiveContainer, NewContainer,
    RuntimeError,
};
use harmony_reconciler_contracts::PinnedImage;
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};

use crate::changes::Changes;
use crate::client::{Call, Client};
use crate::error::from_call;
use crate::settings::{LogDriver, PodmanSettings};
use crate::{check, inspect, list, logs, pull, run, words};

/// The containers of this device, run by podman.
///
/// Nothing is contacted until the first call. When podman's service is stopped, calls fail with
/// [`PodmanUnavailable`](harmony_reconciler_contracts::FailureReason::PodmanUnavailable), and work again when it is back.
#[derive(Debug)]
pub struct Podman {
    client: Client,
    settings: PodmanSettings,
    host: OnceCell<Host>,
    /// The containers that were left out of a list before.
    warned: Mutex<BTreeSet<String>>,
    changes: Changes,
}

/// What podman says about the device.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    arch: String,
    log_driver: String,
}

impl Podman {
    /// Uses the service with these settings.
    pub fn new(settings: PodmanSettings) -> Self {
        Self {
            client: Client {
                socket: settings.socket.clone(),
            },
            settings,
            host: OnceCell::new(),
            warned: Mutex::new(BTreeSet::new()),
            changes: Changes::new(),
        }
    }

    async fn host(&self) -> Result<&Host, RuntimeError> {
        #[derive(Deserialize)]
        struct Info {
            host: Host,
        }
        let read = async || {
            let info: Info = self
                .client
                .read(Call::get("/info"))
                .await
                .map_err(|error| from_call(error, words::of_container))?;
            Ok(info.host)
        };
        self.host.get_or_try_init(read).await
    }

    async fn log_driver(&self) -> Result<LogDriver, RuntimeError> {
        if let Some(driver) = self.settings.logs {
            return Ok(driver);
        }
        // It is podman's default where it was built for systemd and systemd runs.
        Ok(match self.host().await?.log_driver.as_str() {
            "journald" => LogDriver::Journal,
            _ => LogDriver::File,
        })
    }
}

#[async_trait]
impl ContainerRuntime for Podman {
    async fn list(&self) -> Result<Vec<LiveContainer>, RuntimeError> {
        list::list(&self.client, &self.warned).await
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        let architecture = &self.host().await?.arch;
        pull::ensure(&self.client, image, architecture, self.settings.tls_verify).await
    }

    async fn run(&self, container: &NewContainer<'_>) -> Result<(), RuntimeError> {
        let logs = self.log_driver().await?;
        run::run(&self.client, container, logs, self.settings.log_bytes).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        inspect::existing(&self.client, id).await?;
        run::start(&self.client, id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        run::remove(&self.client, id).await
    }
}

#[async_trait]
impl ContainerSigns for Podman {
    async fn check(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout_seconds: u32,
    ) -> Result<Checked, RuntimeError> {
        let limit = Duration::from_secs(timeout_seconds.into());
        check::check(&self.client, id, command, limit).await
    }

    async fn last_lines(
        &self,
        id: &ContainerId,
        lines: usize,
    ) -> Result<Vec<String>, RuntimeError> {
        logs::last_lines(&self.client, id, lines).await
    }

    async fn changed(&self) {
        self.changes.wait(&self.client).await;
    }
}
