//! What devices cost that do nothing.

use std::time::Duration;

use serde::Deserialize;

use crate::figure::Figure;
use crate::simulation::Simulation;

/// The time in which all reports about earlier changes arrive. A container that was stopped counts as running again after
/// its next health check.
const CALM: Duration = Duration::from_secs(20);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// 200 kB for each device and day.
const BYTES_PER_DAY: u64 = 200_000;

#[derive(Deserialize)]
struct JetStream {
    consumers: u64,
}

/// Counts consumers, and the bytes during this time; without a time, only consumers.
pub async fn cost(simulation: &Simulation, time: Duration) -> anyhow::Result<Vec<Figure>> {
    let mut consumers = consumers(simulation).await?;
    let mut figures = Vec::new();
    if time > Duration::ZERO {
        tokio::time::sleep(CALM).await;
        tracing::info!("counting bytes for {} s", time.as_secs());
        let (relayed, counted) = (simulation.relay.bytes(), messages(simulation).await?);
        tokio::time::sleep(time).await;
        let relayed = simulation.relay.bytes() - relayed;
        let after = messages(simulation).await?;
        consumers = consumers.max(self::consumers(simulation).await?);
        let bytes = per_day(relayed, simulation.relayed, time);
        let all = simulation.devices.len();
        let (messages, content) = (after.0 - counted.0, after.1 - counted.1);
        figures.push(
            Figure::count("bytes of an idle device per day", bytes, BYTES_PER_DAY).with(format!(
                "all bytes above TCP of {} devices in {} s; of all devices {} messages and {} bytes of content per day",
                simulation.relayed,
                time.as_secs(),
                per_day(messages, all, time),
                per_day(content, all, time),
            )),
        );
    }
    figures.insert(
        0,
        Figure::count(
            "JetStream consumers while all devices are idle",
            consumers,
            0,
        ),
    );
    Ok(figures)
}

async fn consumers(simulation: &Simulation) -> anyhow::Result<u64> {
    let found: JetStream = simulation.monitoring("/jsz").await?;
    Ok(found.consumers)
}

/// The number of messages of all agents, and the bytes of their contents.
async fn messages(simulation: &Simulation) -> anyhow::Result<(u64, u64)> {
    let connections = simulation.connections().await?;
    let messages = connections.iter().map(|it| it.in_msgs + it.out_msgs);
    let bytes = connections.iter().map(|it| it.in_bytes + it.out_bytes);
    Ok((messages.sum(), bytes.sum()))
}

fn per_day(count: u64, devices: usize, time: Duration) -> u64 {
    let time = time.as_secs().max(1);
    count * DAY.as_secs() / time / devices.max(1) as u64
}
