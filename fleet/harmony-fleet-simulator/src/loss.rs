//! Buckets are deleted, or restored from an old copy.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_fleet_domain::{DesiredStatePublisher, ObservedStateConsumer};
use harmony_reconciler_contracts::{
    ContentHash, DeploymentName, DeviceId, Generation, ObservedDeployment, subjects,
};

use crate::figure::Figure;
use crate::simulation::{APP, CONTAINER, Simulation, until};

/// How many values are read or written at the same time.
const PARALLEL: usize = 32;

type Reports = BTreeMap<DeviceId, (Generation, BTreeMap<DeploymentName, ObservedDeployment>)>;

/// Deletes what devices reported, and then restarts the operator.
pub async fn of_observed(simulation: &mut Simulation) -> anyhow::Result<Figure> {
    let before = reports(simulation).await?;
    let all = simulation.devices.len();
    anyhow::ensure!(
        before.len() == all,
        "{} of {all} devices have reported",
        before.len()
    );
    let began = Instant::now();
    let stream = subjects::stream(subjects::OBSERVED_BUCKET);
    simulation.jetstream.delete_stream(stream).await?;
    simulation.restart_operator().await?;
    let simulation = &*simulation;
    let limit = Duration::from_secs(300);
    until("all devices have reported again", limit, async || {
        let stream = simulation.stream(subjects::OBSERVED_BUCKET).await;
        let messages = stream.map_or(0, |it| it.cached_info().state.messages);
        Ok(messages >= all as u64 && reports(simulation).await? == before)
    })
    .await?;
    until("the operator knows them", limit, async || {
        let dispatch = simulation.operator.fleet.dispatch();
        let mut devices = simulation.devices.iter();
        Ok(devices.all(|it| dispatch.last_report(&it.id).is_some()))
    })
    .await?;
    let what = "`observed` deleted and the operator restarted: the same state is back";
    Ok(Figure::at_most(
        what,
        began.elapsed(),
        Duration::from_secs(60),
    ))
}

/// Restores what devices should run as it was before the last change.
pub async fn of_desired(
    simulation: &Simulation,
    old: &ContentHash,
    version: u64,
) -> anyhow::Result<Vec<Figure>> {
    let bucket = simulation.stream(subjects::DESIRED_BUCKET).await?;
    let config = bucket.cached_info().config.clone();
    let reads = simulation.devices.iter().map(async |device| {
        let key = subjects::device_key(&simulation.tenant, &device.id);
        let subject = subjects::stored(subjects::DESIRED_BUCKET, &key);
        let message = bucket.direct_get_last_for_subject(subject.clone()).await?;
        anyhow::Ok((subject, message.payload))
    });
    let reads = stream::iter(reads).buffer_unordered(PARALLEL);
    let copy: Vec<_> = reads.try_collect().await?;
    let new = simulation.apply(version).await?;
    simulation.all_run(&new).await?;
    let reached = simulation.generations();

    let began = Instant::now();
    simulation.jetstream.delete_stream(&config.name).await?;
    simulation.jetstream.create_stream(config).await?;
    let writes = copy.into_iter().map(async |(subject, content)| {
        let sent = simulation.jetstream.publish(subject, content).await?;
        anyhow::Ok(sent.await?)
    });
    let writes = stream::iter(writes).buffer_unordered(PARALLEL);
    let restored = writes.try_fold(0, async |count, _| Ok(count + 1)).await?;
    let limit = Duration::from_secs(300);
    until("the operator has repaired the copy", limit, async || {
        Ok(is_repaired(simulation, &reached, &new).await)
    })
    .await?;
    let repaired = began.elapsed();
    // Devices have had the time to do something wrong.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let back = simulation.devices.iter().filter(|device| {
        let mut after = device.disk.stored();
        after.retain(|it| it.desired.generation >= reached[&device.id]);
        let is_old = |hash: &ContentHash| hash == old;
        let runs_old = device
            .podman
            .containers()
            .get(CONTAINER)
            .is_none_or(|it| it.hash != new);
        let was_told_old = after
            .iter()
            .any(|it| it.desired.deployments.values().any(|it| is_old(&it.hash)));
        device.disk.steps_back() > 0 || runs_old || was_told_old
    });
    Ok(vec![
        Figure::count(
            "devices that go back after an old copy of `desired` was restored",
            back.count() as u64,
            0,
        )
        .with(format!("{restored} old values restored")),
        Figure::at_most(
            "the restored `desired` is up to date again",
            repaired,
            Duration::from_secs(60),
        ),
    ])
}

/// Whether what is stored is not older than what the devices have.
async fn is_repaired(
    simulation: &Simulation,
    reached: &BTreeMap<DeviceId, Generation>,
    new: &ContentHash,
) -> bool {
    let (Ok(stored), Ok(name)) = (simulation.desired.load().await, APP.parse()) else {
        return false;
    };
    reached.iter().all(|(device, generation)| {
        let state = stored.get(device).and_then(|it| it.value.as_ref().ok());
        state.is_some_and(|state| {
            let content: Option<_> = state.deployments.get::<DeploymentName>(&name);
            state.generation >= *generation && content.is_some_and(|it| it.hash == *new)
        })
    })
}

async fn reports(simulation: &Simulation) -> anyhow::Result<Reports> {
    let stored = simulation.observed.load().await?;
    let readable = stored.into_iter().filter_map(|(device, stored)| {
        let state = stored.value.ok()?;
        Some((device, (state.generation, state.deployments)))
    });
    Ok(readable.collect())
}
