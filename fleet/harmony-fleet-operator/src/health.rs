//! Whether the operator is ready, and why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harmony_fleet_adapters_nats::NatsConnection;

/// The progress of the operator. Clones share their state.
#[derive(Debug, Clone)]
pub struct Health {
    connection: NatsConnection,
    loaded: Arc<AtomicBool>,
    shown: Arc<AtomicBool>,
}

impl Health {
    /// The initial status.
    pub fn new(connection: NatsConnection) -> Self {
        Self {
            connection,
            loaded: Arc::default(),
            shown: Arc::default(),
        }
    }

    /// The connection to NATS.
    pub fn connection(&self) -> &NatsConnection {
        &self.connection
    }

    /// The registry has been loaded.
    pub fn loaded(&self) {
        self.loaded.store(true, Ordering::Relaxed);
    }

    /// The devices have been written to Kubernetes for the first time.
    pub fn shown(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// The reasons why the operator is not ready, as text; empty if it is ready.
    ///
    /// For the connection, the current state counts. The other steps have to succeed once: if the API server is slow
    /// later, the operator still registers devices and should stay in service.
    pub fn missing(&self) -> Vec<&'static str> {
        [
            (self.connection.is_up(), "not connected to NATS"),
            (
                self.loaded.load(Ordering::Relaxed),
                "the device registry is not loaded",
            ),
            (
                self.shown.load(Ordering::Relaxed),
                "the devices have not been written to Kubernetes yet",
            ),
        ]
        .into_iter()
        .filter_map(|(reached, missing)| (!reached).then_some(missing))
        .collect()
    }
}
