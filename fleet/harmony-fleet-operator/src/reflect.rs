//! Copies the devices to Kubernetes, level-triggered and with the complete list each time.

use std::time::Duration;

use harmony_fleet_domain::{ErrorChain, FleetReflector};

use crate::fleet::RETRY;
use crate::health::Health;
use crate::{Fleet, Step};

/// The time between two comparisons, and so the maximum delay of a transition.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the copy up to date. Must be called with a loaded fleet, because an empty one would delete everything.
pub async fn keep_showing(fleet: &Fleet, reflector: &impl FleetReflector, health: &Health) {
    let mut failures = 0;
    loop {
        match reflector.reflect(&fleet.view()).await {
            Ok(reflected) => {
                if failures > 0 {
                    tracing::info!("writing devices to Kubernetes again");
                }
                failures = 0;
                health.shown();
                if reflected.written + reflected.removed > 0 {
                    let (written, removed) = (reflected.written, reflected.removed);
                    tracing::debug!(written, removed, "updated the devices in Kubernetes");
                }
                tokio::time::sleep(INTERVAL).await;
            }
            Err(error) => {
                failures += 1;
                fleet.failed(Step::Reflect);
                tracing::warn!(error = %ErrorChain(&error), failures, "cannot write the devices to Kubernetes; trying again");
                tokio::time::sleep(RETRY.wait(failures)).await;
            }
        }
    }
}
