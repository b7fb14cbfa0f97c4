//! The steps of the operator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use harmony_fleet_adapters_nats::{
    NatsConnectError, NatsConnection, NatsDeviceRegistry, NatsOperatorLink,
};
use harmony_fleet_domain::{FleetReflector, settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::{
    Fleet, Settings, dispatch, endpoints, forget, heartbeats, listing, load, reflect, register,
    rivals,
};

/// The time limit for the goodbye message.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the operator until `stop` is cancelled. Returns early only if it cannot start.
pub async fn run(
    settings: &Settings,
    reflector: &impl FleetReflector,
    stop: CancellationToken,
) -> Result<(), OperatorError> {
    let fleet = Arc::new(Fleet::new(settings.tenant.clone()));
    run_with(fleet, settings, reflector, stop).await
}

/// Does the same as [`run()`] with a new fleet, which the caller can look at.
pub async fn run_with(
    fleet: Arc<Fleet>,
    settings: &Settings,
    reflector: &impl FleetReflector,
    stop: CancellationToken,
) -> Result<(), OperatorError> {
    let listener = TcpListener::bind(settings.health_addr)
        .await
        .map_err(|source| OperatorError::HealthAddress {
            address: settings.health_addr,
            source,
        })?;
    let connection = NatsConnection::connect_in_background(&settings.nats)
        .await
        .map_err(|source| OperatorError::Nats { source })?;
    let registry = NatsDeviceRegistry::new(&connection, settings.tenant.clone());
    let link = NatsOperatorLink::new(connection.clone(), settings.tenant.clone());
    let stores = dispatch::Stores::new(&connection, &settings.tenant);
    let health = Health::new(connection.clone());
    let metrics = Metrics::new(Arc::clone(&fleet), health.clone());
    tracing::info!(tenant = %fleet.tenant, boot = %fleet.boot, nats = connection.servers(), "starting the operator");

    // On the heap, because the states of all loops together are too large for the stack of the caller.
    let work = Box::pin(async {
        load::until_loaded(&fleet, &registry, &health).await;
        tokio::join!(
            register::serve(&fleet, &registry, &link),
            heartbeats::listen(&fleet, &link),
            listing::serve(&fleet, &link),
            load::resync(&fleet, &registry, &connection, settings.resync),
            dispatch::keep_dispatching(&fleet, &stores, &link, &connection, settings.resync),
            dispatch::follow_reports(&fleet, &link),
            reflect::keep_showing(&fleet, reflector, &health),
            forget::keep_forgetting(&fleet, &registry, settings.forget_after),
            rivals::keep_watch(&fleet, &link),
        );
    });
    tokio::select! {
        () = work => {}
        () = keep_time(&fleet, &connection) => {}
        () = endpoints::serve(listener, health.clone(), metrics) => {}
        () = stop.cancelled() => {}
    }
    rivals::say_goodbye(&fleet, &link).await;
    connection.flush_within(FAREWELL).await;
    tracing::info!(tenant = %fleet.tenant, "the operator has stopped");
    Ok(())
}

/// Runs the fleet's clock while there is a connection, so that devices do not seem silent while the NATS server is
/// unavailable.
async fn keep_time(fleet: &Fleet, connection: &NatsConnection) {
    loop {
        connection.up().await;
        fleet.resume_clock();
        connection.down().await;
        fleet.stop_clock();
    }
}

/// The reason why the operator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error(
        "cannot serve health checks on `{address}`: set {} to a free address",
        settings::HEALTH_ADDR
    )]
    HealthAddress {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the NATS settings are not valid")]
    Nats {
        #[source]
        source: NatsConnectError,
    },
}
