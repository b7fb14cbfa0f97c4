//! Tests the adapter with a real nats-server, which each test starts.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panic"
)]

mod connection;
mod conversations;
mod encryption;
mod isolation;
mod registry;
mod workload;

use std::time::Duration;

use harmony_fleet_adapters_nats::NatsConnection;
use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_reconciler_contracts::{
    DeviceId, DeviceInfo, HeartbeatInterval, Registration, SchemaVersion, TenantId,
};

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

fn registration(boot: &str) -> Registration {
    Registration {
        version: SchemaVersion::CURRENT,
        boot: boot.parse().unwrap(),
        previous_boot: None,
        heartbeat_seconds: HeartbeatInterval::NOMINAL,
        info: DeviceInfo::default(),
    }
}

async fn connect(nats: &TestNats, name: &str) -> NatsConnection {
    NatsConnection::connect(&nats.options(name).unwrap())
        .await
        .unwrap()
}

/// Waits for a result of another task.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("did not happen within 30 s: {what}");
}
