//! Removes devices that have been silent for a long time.

use std::time::Duration;

use harmony_fleet_domain::{DeviceRegistry, ErrorChain, FleetState, Moment};

use crate::{Fleet, Step};

/// The time between two checks. Devices may be silent for much longer.
const INTERVAL: Duration = Duration::from_secs(60);

/// Removes devices that have been silent for `limit`, first from the registry, then from memory, so that an interrupted
/// removal is repeated. Everything that shows devices follows.
pub async fn keep_forgetting(fleet: &Fleet, registry: &impl DeviceRegistry, limit: Duration) {
    let interval = INTERVAL.min(limit / 4);
    loop {
        let more = forget(fleet, registry, limit, fleet.now()).await;
        if !more {
            tokio::time::sleep(interval.max(Duration::from_millis(100))).await;
        }
    }
}

/// Returns whether there may be more devices to remove immediately.
async fn forget(
    fleet: &Fleet,
    registry: &impl DeviceRegistry,
    limit: Duration,
    now: Moment,
) -> bool {
    let silent = fleet.state().silent_for(limit, now);
    for (device, revision) in &silent {
        if let Err(error) = registry.remove(device, *revision).await {
            fleet.failed(Step::Forget);
            tracing::warn!(%device, error = %ErrorChain(&error), "cannot remove a silent device; trying again later");
            return false;
        }
        fleet.state().forget(device, *revision);
    }
    if !silent.is_empty() {
        tracing::info!(
            forgotten = silent.len(),
            first = %silent[0].0,
            "removed silent devices; they can register again"
        );
    }
    silent.len() == FleetState::FORGET_AT_ONCE
}
