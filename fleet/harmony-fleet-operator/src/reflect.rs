//! Showing the devices: level-triggered, from the whole list each time.

use std::time::Duration;

use harmony_fleet_domain::{ErrorChain, FleetReflector};

use crate::Fleet;
use crate::fleet::RETRY;
use crate::health::Health;

/// Between two comparisons of what is and what is shown: the longest delay of a transition.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the reflection up to date. Only called with a loaded fleet: an empty one would remove everything.
pub async fn keep_showing(fleet: &Fleet, reflector: &impl FleetReflector, health: &Health) {
    let mut failures = 0;
    loop {
        match reflector.reflect(&fleet.view()).await {
            Ok(reflected) => {
                if failures > 0 {
                    tracing::info!("devices are shown again");
                }
                failures = 0;
                health.shown();
                if reflected.written + reflected.removed > 0 {
                    let (written, removed) = (reflected.written, reflected.removed);
                    tracing::debug!(written, removed, "changed what is shown");
                }
                tokio::time::sleep(INTERVAL).await;
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(error = %ErrorChain(&error), failures, "cannot show the devices; trying again");
                tokio::time::sleep(RETRY.wait(failures)).await;
            }
        }
    }
}
