//! The tools' side of the conversations: commands to devices, and the list of devices.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::{Request, RequestErrorKind};
use async_trait::async_trait;
use harmony_fleet_domain::{
    CommandFailure, DeviceCommander, DeviceDirectory, DirectoryError, FleetListing, Pong,
};
use harmony_reconciler_contracts::{
    Command, CommandOutcome, CommandReply, DeviceId, DeviceListing, ListDevices, TenantId, subjects,
};

use crate::NatsConnection;
use crate::decode::{DEVICE_MESSAGE, LIST_PAGE, decode};

/// Sends commands to the devices of a tenant with request and reply.
#[derive(Debug, Clone)]
pub struct NatsDeviceCommander {
    connection: NatsConnection,
    tenant: TenantId,
    timeout: Duration,
}

impl NatsDeviceCommander {
    /// Waits for each answer up to the request timeout of the connection.
    pub fn new(connection: NatsConnection, tenant: TenantId) -> Self {
        let timeout = connection.request_timeout;
        Self {
            connection,
            tenant,
            timeout,
        }
    }
}

#[async_trait]
impl DeviceCommander for NatsDeviceCommander {
    async fn ping(&self, device: &DeviceId, sequence: u32) -> Result<Pong, CommandFailure> {
        let failed = |source: harmony_fleet_domain::Cause| CommandFailure::Failed {
            device: device.clone(),
            source,
        };
        let payload = serde_json::to_vec(&Command::ping(sequence)).map_err(|e| failed(e.into()))?;
        let request = Request::new()
            .payload(payload.into())
            .timeout(Some(self.timeout));
        let sent = Instant::now();
        let answer = self
            .connection
            .client
            .send_request(subjects::command(&self.tenant, device), request)
            .await
            .map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => CommandFailure::NotConnected {
                    device: device.clone(),
                },
                RequestErrorKind::TimedOut => CommandFailure::NoAnswer {
                    device: device.clone(),
                    seconds: self.timeout.as_secs(),
                },
                _ => failed(error.into()),
            })?;
        let round_trip = sent.elapsed();
        let unreadable = |source: harmony_fleet_domain::Cause| CommandFailure::Unreadable {
            device: device.clone(),
            source,
        };
        let reply: CommandReply =
            decode(&answer.payload, DEVICE_MESSAGE).map_err(|e| unreadable(e.into()))?;
        match reply.outcome {
            CommandOutcome::Pong { agent_version, .. } => Ok(Pong {
                round_trip,
                agent_version: agent_version.into(),
                boot: reply.boot,
            }),
            CommandOutcome::Failed { error } => Err(CommandFailure::Refused {
                device: device.clone(),
                source: error,
            }),
            CommandOutcome::Registering | CommandOutcome::Unknown => {
                Err(unreadable("it is not an answer to a ping".into()))
            }
        }
    }
}

/// Asks the operator of a tenant for its devices, page by page.
#[derive(Debug, Clone)]
pub struct NatsDeviceDirectory {
    connection: NatsConnection,
    tenant: TenantId,
}

impl NatsDeviceDirectory {
    /// The directory of a tenant. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: TenantId) -> Self {
        Self { connection, tenant }
    }

    async fn page(&self, after: Option<DeviceId>) -> Result<DeviceListing, DirectoryError> {
        let tenant = || self.tenant.to_string();
        let failed = |source: harmony_fleet_domain::Cause| DirectoryError::Failed {
            tenant: tenant(),
            source,
        };
        let payload =
            serde_json::to_vec(&ListDevices::page_after(after)).map_err(|e| failed(e.into()))?;
        let answer = self
            .connection
            .client
            .request(subjects::list_devices(&self.tenant), payload.into())
            .await
            .map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => DirectoryError::NoOperator { tenant: tenant() },
                RequestErrorKind::TimedOut => DirectoryError::NoAnswer {
                    tenant: tenant(),
                    seconds: self.connection.request_timeout.as_secs(),
                },
                _ => failed(error.into()),
            })?;
        decode(&answer.payload, LIST_PAGE).map_err(|e| DirectoryError::Unreadable {
            tenant: tenant(),
            source: e.into(),
        })
    }
}

#[async_trait]
impl DeviceDirectory for NatsDeviceDirectory {
    async fn devices(&self) -> Result<FleetListing, DirectoryError> {
        let mut devices = Vec::new();
        let mut warnings = BTreeSet::new();
        let mut after: Option<DeviceId> = None;
        loop {
            let page = self.page(after.clone()).await?;
            warnings.extend(page.warnings);
            let last = page.devices.last().map(|listed| listed.device.clone());
            devices.extend(page.devices.into_iter().map(Into::into));
            // The ids increase from page to page, so an operator that repeats a page cannot cause an endless loop.
            if !page.more || last <= after {
                break;
            }
            after = last;
        }
        Ok(FleetListing {
            devices,
            warnings: warnings.into_iter().collect(),
        })
    }
}
