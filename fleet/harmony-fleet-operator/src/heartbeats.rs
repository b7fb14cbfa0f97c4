//! Receives heartbeats and updates the state in memory. They are not stored.

use std::pin::pin;

use futures_util::StreamExt;
use harmony_fleet_adapters_nats::NatsOperatorLink;
use harmony_fleet_domain::HeartbeatEffect;
use harmony_reconciler_contracts::{DeviceId, Heartbeat};
use jiff::Timestamp;

use crate::Fleet;
use crate::subscription::lasting;

/// Receives all heartbeats of the tenant.
pub async fn listen(fleet: &Fleet, link: &NatsOperatorLink) {
    let mut heartbeats = pin!(lasting("heartbeats", || link.heartbeats()));
    while let Some((device, heartbeat)) = heartbeats.next().await {
        hear(fleet, link, &device, &heartbeat).await;
    }
}

async fn hear(fleet: &Fleet, link: &NatsOperatorLink, device: &DeviceId, heartbeat: &Heartbeat) {
    let (now, wall) = (fleet.now(), Timestamp::now());
    let effect = fleet.state().heartbeat(device, heartbeat, now, wall);
    match effect {
        HeartbeatEffect::Alive
        | HeartbeatEffect::Repeated
        | HeartbeatEffect::Duplicate { known: true, .. } => {}
        HeartbeatEffect::Left => tracing::info!(%device, "the device left"),
        HeartbeatEffect::AskToRegister => {
            tracing::info!(%device, boot = %heartbeat.boot, "received a heartbeat from an unregistered device; asking it to register");
            link.ask_to_register(device).await;
        }
        HeartbeatEffect::Duplicate {
            holder,
            known: false,
        } => {
            tracing::warn!(%device, %holder, other = %heartbeat.boot, "two running agents use the same device id");
        }
    }
}
