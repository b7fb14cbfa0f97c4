//! Loads the registry into memory, at the start and periodically.

use std::time::Duration;

use harmony_fleet_adapters_nats::NatsConnection;
use harmony_fleet_domain::{DeviceRegistry, ErrorChain, RegistryError};

use crate::fleet::RETRY;
use crate::health::Health;
use crate::{Fleet, Step};

/// Loads the registry, and waits until it answers. Creates its store if there is none.
pub async fn until_loaded(fleet: &Fleet, registry: &impl DeviceRegistry, health: &Health) {
    let mut attempt = 0;
    while let Err(error) = load(fleet, registry).await {
        attempt += 1;
        tracing::warn!(error = %ErrorChain(&error), attempt, "the device registry does not exist yet");
        tokio::time::sleep(RETRY.wait(attempt)).await;
    }
    health.loaded();
    tracing::info!(
        devices = fleet.state().len(),
        "the device registry is loaded"
    );
}

/// Loads the registry at each interval (with jitter), and soon after a reconnect to NATS, so that unnoticed changes,
/// even the loss of the whole store, are detected and repaired.
pub async fn resync(
    fleet: &Fleet,
    registry: &impl DeviceRegistry,
    connection: &NatsConnection,
    interval: Duration,
) {
    loop {
        let wait = interval.mul_f64(0.9 + 0.2 * fastrand::f64());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = connection.reconnected() => {}
        }
        if let Err(error) = load(fleet, registry).await {
            tracing::warn!(error = %ErrorChain(&error), "could not read the device registry again");
        }
    }
}

async fn load(fleet: &Fleet, registry: &impl DeviceRegistry) -> Result<(), RegistryError> {
    let from = fleet.now();
    let records = registry
        .load()
        .await
        .inspect_err(|_| fleet.failed(Step::Load))?;
    let now = fleet.now();
    let forgotten = fleet.state().resync(records, from, now);
    if forgotten > 0 {
        tracing::warn!(
            forgotten,
            "devices are missing from the registry; running devices will register again"
        );
    }
    Ok(())
}
