//! Forgetting devices that have been silent for long.

use std::time::Duration;

use harmony_fleet_domain::{DeviceRegistry, ErrorChain, FleetState, Moment};

use crate::Fleet;

/// Between two looks. The time that a device may be silent is much longer.
const INTERVAL: Duration = Duration::from_secs(60);

/// Forgets devices that were silent for `limit`: removes them from the registry, then from memory, so that a kill in
/// between repeats it. What shows the devices follows.
pub async fn keep_forgetting(fleet: &Fleet, registry: &impl DeviceRegistry, limit: Duration) {
    let interval = INTERVAL.min(limit / 4);
    loop {
        let more = forget(fleet, registry, limit, fleet.now()).await;
        if !more {
            tokio::time::sleep(interval.max(Duration::from_millis(100))).await;
        }
    }
}

/// Says whether there may be more to forget at once.
async fn forget(
    fleet: &Fleet,
    registry: &impl DeviceRegistry,
    limit: Duration,
    now: Moment,
) -> bool {
    let silent = fleet.state().silent_for(limit, now);
    for (device, revision) in &silent {
        if let Err(error) = registry.remove(device, *revision).await {
            tracing::warn!(%device, error = %ErrorChain(&error), "could not forget a silent device; trying again later");
            return false;
        }
        fleet.state().forget(device, *revision);
    }
    if !silent.is_empty() {
        tracing::info!(
            forgotten = silent.len(),
            first = %silent[0].0,
            "forgot devices that were silent for long; one that comes back registers again"
        );
    }
    silent.len() == FleetState::FORGET_AT_ONCE
}
