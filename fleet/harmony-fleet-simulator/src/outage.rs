//! The server is killed and started again.

use std::collections::BTreeSet;
use std::time::Duration;

use harmony_fleet_domain::DeviceRegistry;
use harmony_reconciler_contracts::subjects;
use jiff::Timestamp;

use crate::figure::Figure;
use crate::simulation::{Simulation, until};

/// Measures until all devices are back after the server was gone for this time.
pub async fn of_nats(simulation: &mut Simulation, gone: Duration) -> anyhow::Result<Vec<Figure>> {
    let before = registrations(simulation).await?;
    simulation.nats.kill();
    tokio::time::sleep(gone).await;
    simulation.nats.start_again()?;
    let back = Timestamp::now();
    let simulation = &*simulation;
    let limit = Duration::from_secs(300);
    let took = until("all devices are heard again", limit, async || {
        let online = simulation.online();
        let heard = online
            .iter()
            .filter(|it| it.last_seen.is_some_and(|seen| seen.at > back));
        Ok(heard.count() == simulation.devices.len())
    })
    .await?;
    let what = "nats-server killed and started: all devices connected and registered";
    let figure = Figure::at_most(what, took, Duration::from_secs(60));
    let writes = registrations(simulation).await? - before;
    Ok(vec![
        figure.with(format!("it was gone for {:.1} s", gone.as_secs_f64())),
        Figure::count(
            "devices that are registered twice after it",
            twice(simulation).await?,
            0,
        )
        .with(format!("{writes} registrations written")),
    ])
}

/// Records, connections and agents beyond one for each device.
async fn twice(simulation: &Simulation) -> anyhow::Result<u64> {
    let devices = simulation.devices.len();
    let records = simulation.registry.load().await?.len();
    let connections = simulation.connections().await?;
    let names: BTreeSet<_> = connections.iter().map(|it| &it.name).collect();
    let view = simulation.operator.fleet.view();
    let rivals = view.iter().filter(|it| it.rival.is_some()).count();
    let more = records.abs_diff(devices) + (connections.len() - names.len()) + rivals;
    Ok(more as u64)
}

/// How many registrations were ever written.
async fn registrations(simulation: &Simulation) -> anyhow::Result<u64> {
    let registry = simulation.stream(subjects::REGISTRY_BUCKET).await?;
    Ok(registry.cached_info().state.last_sequence)
}
