//! The way of desired states to devices, and of observed states to the operator.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_reconciler_contracts::{ContentHash, DeviceId, ObservedState, subjects};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use crate::figure::{Figure, Times};
use crate::simulation::{CONTAINER, Simulation};

/// How many values are read at the same time.
const READS: usize = 32;

/// How many containers are stopped per second.
const CHANGES_PER_SECOND: u32 = 100;

/// How often the operator's memory is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The time without reports after which no more are expected.
const CALM: Duration = Duration::from_secs(3);

/// How long after its container was stopped a device is looked at.
const WATCHED: Duration = Duration::from_secs(15);

/// Changes the deployment of all devices some times. Returns the figures and the last content.
pub async fn desired(
    simulation: &Simulation,
    rounds: u64,
) -> anyhow::Result<(Vec<Figure>, ContentHash)> {
    let (mut from_write, mut from_apply) = (Vec::new(), Vec::new());
    let mut last = None;
    for round in 1..=rounds {
        let before = simulation.generations();
        let applied = Timestamp::now();
        let hash = simulation.apply(round).await?;
        simulation.all_run(&hash).await?;
        last = Some(hash);
        let written = written(simulation).await?;
        for device in &simulation.devices {
            let stored = device.disk.stored();
            let new = stored
                .iter()
                .find(|it| it.desired.generation > before[&device.id]);
            let received = new.map(|it| it.at);
            from_write.push(between(written.get(&device.id).copied(), received));
            from_apply.push(between(Some(applied), received));
        }
    }
    let from_write: Times = from_write.into_iter().collect();
    let from_apply: Times = from_apply.into_iter().collect();
    let what = "desired state written to stored on the device, p99";
    let goal = Duration::from_secs(2);
    let figures = vec![
        Figure::at_most(what, from_write.percentile(99), goal).with(&from_write),
        Figure::note(
            "deployment applied to stored on the device, p99",
            format!("{:.3} s", from_apply.percentile(99).as_secs_f64()),
        )
        .with(&from_apply),
    ];
    let last = last.ok_or_else(|| anyhow::anyhow!("there must be at least one round"))?;
    Ok((figures, last))
}

/// Stops the container of each device, 100 per second, and measures how long the reports take.
pub async fn observed(simulation: &Simulation, rng: &mut fastrand::Rng) -> anyhow::Result<Figure> {
    let first = last_sequence(simulation).await? + 1;
    let mut order: Vec<_> = simulation.devices.iter().collect();
    rng.shuffle(&mut order);
    let mut seen: BTreeMap<&DeviceId, Vec<(u64, Timestamp)>> = BTreeMap::new();
    let began = Instant::now();
    let at = |index: usize| {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        began + Duration::from_secs(1) * index / CHANGES_PER_SECOND
    };
    let mut next = 0;
    let end = at(order.len()) + WATCHED;
    let mut news = began;
    loop {
        let now = Instant::now();
        if now > end || (next == order.len() && now > news + CALM) {
            break;
        }
        while next < order.len() && at(next) <= now {
            order[next].podman.stop(CONTAINER);
            next += 1;
        }
        let watched = order[..next].iter().enumerate();
        let watched = watched.filter(|(index, _)| now < at(*index) + WATCHED);
        for (id, sequence) in last_reports(simulation, watched.map(|(_, device)| &device.id)) {
            let seen = seen.entry(id).or_default();
            if seen.last().is_none_or(|(last, _)| *last < sequence) {
                seen.push((sequence, Timestamp::now()));
                news = now;
            }
        }
        sleep_until(now + LOOK).await;
    }
    let written = reports(simulation, first, last_sequence(simulation).await?).await?;
    let times: Times = written
        .iter()
        .map(|(device, sequence, written)| {
            let seen = seen.get(device).into_iter().flatten();
            let visible = seen.filter(|(seen, _)| seen >= sequence).map(|(_, at)| *at);
            between(Some(*written), visible.min())
        })
        .collect();
    let what = "observed state written to known by the operator, p99";
    let figure = Figure::at_most(what, times.percentile(99), Duration::from_secs(10));
    let seconds = (at(order.len()) - began).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below the limit")]
    let rate = times.count() as f64 / seconds;
    Ok(figure.with(format!("{times}; {rate:.0} per second")))
}

/// The numbers of the last reports of these devices that the operator knows.
fn last_reports<'a>(
    simulation: &Simulation,
    devices: impl Iterator<Item = &'a DeviceId>,
) -> Vec<(&'a DeviceId, u64)> {
    let dispatch = simulation.operator.fleet.dispatch();
    let known = devices.filter_map(|id| Some((id, dispatch.last_report(id)?.sequence)));
    known.collect()
}

/// When the current desired state of each device was written, on the clock of the server.
async fn written(simulation: &Simulation) -> anyhow::Result<BTreeMap<DeviceId, Timestamp>> {
    let desired = simulation.stream(subjects::DESIRED_BUCKET).await?;
    let reads = simulation.devices.iter().map(async |device| {
        let key = subjects::device_key(&simulation.tenant, &device.id);
        let subject = subjects::stored(subjects::DESIRED_BUCKET, &key);
        let message = desired.direct_get_last_for_subject(subject).await?;
        let at = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos())?;
        anyhow::Ok((device.id.clone(), at))
    });
    stream::iter(reads)
        .buffer_unordered(READS)
        .try_collect()
        .await
}

async fn last_sequence(simulation: &Simulation) -> anyhow::Result<u64> {
    let observed = simulation.stream(subjects::OBSERVED_BUCKET).await?;
    Ok(observed.cached_info().state.last_sequence)
}

/// The reports with these numbers in the bucket: device, number within its boot, and when it was written.
async fn reports(
    simulation: &Simulation,
    first: u64,
    last: u64,
) -> anyhow::Result<Vec<(DeviceId, u64, Timestamp)>> {
    let observed = simulation.stream(subjects::OBSERVED_BUCKET).await?;
    let reads = (first..=last).map(async |number| {
        let message = observed.direct_get(number).await?;
        let subject = message.subject.as_str();
        let name = subjects::stored_name(subject, subjects::OBSERVED_BUCKET, &simulation.tenant);
        let device = name.unwrap_or_default().parse()?;
        let state: ObservedState = serde_json::from_slice(&message.payload)?;
        let at = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos())?;
        anyhow::Ok((device, state.sequence, at))
    });
    stream::iter(reads)
        .buffer_unordered(READS)
        .try_collect()
        .await
}

/// The time between two moments; the longest possible if one of them is missing.
fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Duration {
    let (Some(from), Some(to)) = (from, to) else {
        return Duration::MAX;
    };
    // The first one may be read from a clock that is rounded.
    to.duration_since(from).try_into().unwrap_or_default()
}
