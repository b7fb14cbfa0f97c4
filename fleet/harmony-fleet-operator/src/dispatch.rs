//! Tells each device what to run: from the deployments of users and the labels of devices to the desired states.
//!
//! Level-triggered: each pass decides from everything that is known, and writes what is different. Messages about changes
//! only make a pass come sooner. All values are read again at each interval, and whenever a bucket is not what it was.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, stream};
use harmony_fleet_adapters_nats::{
    Fabric, NatsConnection, NatsDeploymentStore, NatsDesiredStatePublisher,
    NatsObservedStateConsumer, NatsOperatorLink, Prepared,
};
use harmony_fleet_domain::{
    DeploymentStore, DesiredStatePublisher, DesiredWrite, Dispatch, ErrorChain,
    ObservedStateConsumer, Presence, StoreError,
};
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::fleet::RETRY;
use crate::subscription::lasting;
use crate::{Fleet, Step};

/// The time between two passes, and so the maximum delay until a new device or a changed label has an effect.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time between two looks at the buckets: whether they are there, and whether something was written.
const LOOK: Duration = Duration::from_secs(5);

/// The time in which messages about changes are collected.
const COLLECT: Duration = Duration::from_millis(10);

/// The number of concurrent writes.
const PARALLEL_WRITES: usize = 64;

/// The stores of a tenant.
#[derive(Debug)]
pub struct Stores {
    fabric: Fabric,
    deployments: NatsDeploymentStore,
    desired: NatsDesiredStatePublisher,
    observed: NatsObservedStateConsumer,
}

impl Stores {
    /// The stores on a connection. Sends nothing yet.
    pub fn new(connection: &NatsConnection, tenant: &TenantId) -> Self {
        let (connection, tenant) = (|| connection.clone(), || tenant.clone());
        Self {
            fabric: Fabric::new(connection()),
            deployments: NatsDeploymentStore::new(connection(), tenant()),
            desired: NatsDesiredStatePublisher::new(connection(), tenant()),
            observed: NatsObservedStateConsumer::new(connection(), tenant()),
        }
    }
}

/// What a pass has to read before it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Nothing,
    Deployments,
    Everything,
}

/// The reason why a pass is not complete.
#[derive(Debug)]
struct Failed {
    /// What the next pass has to read.
    again: Read,
    error: StoreError,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        let again = Read::Everything;
        Self { again, error }
    }
}

/// Keeps the desired states up to date. Must be called with a loaded fleet.
pub async fn keep_dispatching(
    fleet: &Fleet,
    stores: &Stores,
    link: &NatsOperatorLink,
    connection: &NatsConnection,
    resync: Duration,
) {
    let mut changes = pin!(lasting("changes of deployments", || link.deployment_changes()));
    let mut pass = Pass::new(fleet, stores);
    let mut read = Read::Everything;
    let mut failures = 0;
    loop {
        let wait = match pass.run(read, resync).await {
            Ok(()) => {
                failures = 0;
                read = Read::Nothing;
                INTERVAL
            }
            Err(Failed { again, error }) => {
                failures += 1;
                fleet.failed(Step::Dispatch);
                tracing::warn!(error = %ErrorChain(&error), failures, "cannot tell devices what to run; trying again");
                read = again;
                RETRY.wait(failures)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = connection.reconnected() => read = Read::Everything,
            _ = changes.next() => {
                tokio::time::sleep(COLLECT).await;
                while changes.next().now_or_never().is_some() {}
                read = read.max(Read::Deployments);
                // What the message was about may be readable only a moment later.
                pass.look_soon();
            }
        }
    }
}

/// Follows the observed states, which devices write when something changes.
pub async fn follow_reports(fleet: &Fleet, link: &NatsOperatorLink) {
    let mut reports = pin!(lasting("observed states", || link.observed_states()));
    while let Some((device, state)) = reports.next().await {
        fleet.dispatch().observed(&device, &state);
    }
}

/// The memory between passes.
struct Pass<'a> {
    fleet: &'a Fleet,
    stores: &'a Stores,
    /// The buckets as they were when everything was read, and the deployments as they were read last.
    known: Option<Prepared>,
    /// When to look at the buckets again.
    next_look: Instant,
    synced: Instant,
    /// Reports may be missing because the bucket of observed states is new, or because it was before this operator started.
    lost_reports: bool,
    /// The devices whose report was missing the last time.
    silent: BTreeSet<DeviceId>,
    /// The devices that were asked to report again.
    asked: BTreeSet<DeviceId>,
}

impl<'a> Pass<'a> {
    fn new(fleet: &'a Fleet, stores: &'a Stores) -> Self {
        Self {
            fleet,
            stores,
            known: None,
            next_look: Instant::now(),
            synced: Instant::now(),
            lost_reports: true,
            silent: BTreeSet::new(),
            asked: BTreeSet::new(),
        }
    }

    fn look_soon(&mut self) {
        self.next_look = self.next_look.min(Instant::now() + INTERVAL / 2);
    }

    async fn run(&mut self, read: Read, resync: Duration) -> Result<(), Failed> {
        let mut read = read;
        if self.synced.elapsed() >= resync {
            read = Read::Everything;
        }
        if read == Read::Everything || Instant::now() >= self.next_look {
            read = read.max(self.look().await?);
        }
        if read >= Read::Deployments {
            self.read_deployments().await?;
        }
        if read == Read::Everything {
            let (desired, observed) =
                tokio::try_join!(self.stores.desired.load(), self.stores.observed.load())?;
            let mut dispatch = self.fleet.dispatch();
            dispatch.desired_loaded(desired);
            dispatch.observed_loaded(observed);
            self.synced = Instant::now();
        }
        self.write(self.planned()).await?;
        if read == Read::Everything {
            let unreported = self.unreported();
            self.write(unreported).await?;
            self.report();
        }
        Ok(())
    }

    /// Checks the buckets and creates missing ones. Returns what has to be read again.
    async fn look(&mut self) -> Result<Read, StoreError> {
        let now = self.stores.fabric.prepare().await?;
        self.next_look = Instant::now() + LOOK;
        self.fleet.set_problems(now.problems.clone());
        let Some(before) = self.known.replace(now.clone()) else {
            return Ok(Read::Everything);
        };
        if now.observed.created != before.observed.created {
            self.lost_reports = true;
            self.asked.clear();
        }
        let pairs = [
            (&now.desired, &before.desired),
            (&now.observed, &before.observed),
            (&now.deployments, &before.deployments),
        ];
        Ok(
            if pairs
                .iter()
                .any(|(now, before)| now.is_another_than(before))
            {
                tracing::warn!("a bucket was created or restored; reading everything again");
                Read::Everything
            } else if now.deployments != before.deployments {
                Read::Deployments
            } else {
                Read::Nothing
            },
        )
    }

    async fn read_deployments(&self) -> Result<(), StoreError> {
        let deployments = self.stores.deployments.load().await?;
        self.fleet.dispatch().set_intent(deployments.into());
        Ok(())
    }

    fn planned(&self) -> Vec<DesiredWrite> {
        let devices = self.fleet.view();
        let devices = devices
            .iter()
            .map(|it| (&it.record.id, &it.record.info.labels));
        self.fleet.dispatch().plan(devices)
    }

    /// The writes that ask devices to report again: once for each online device whose report stays missing. If reports were
    /// lost, those are asked, too, of which it is not known yet whether they are online.
    fn unreported(&mut self) -> Vec<DesiredWrite> {
        let devices = self.fleet.view();
        let lost_reports = std::mem::take(&mut self.lost_reports);
        let ids = |presence| {
            let those = devices.iter().filter(move |it| it.presence == presence);
            those.map(|it| &it.record.id)
        };
        let (mut writes, unheard) = {
            let dispatch = self.fleet.dispatch();
            let online = dispatch.unreported(ids(Some(Presence::Online)));
            (online, dispatch.unreported(ids(None)))
        };
        let silent = writes.iter().map(|it| it.device.clone()).collect();
        let before = std::mem::replace(&mut self.silent, silent);
        writes.retain(|it| {
            (lost_reports || before.contains(&it.device)) && self.asked.insert(it.device.clone())
        });
        if lost_reports {
            writes.extend(unheard);
        }
        writes
    }

    /// Writes as much as possible, and returns the first error. After it, as after a conflict, the next pass decides again;
    /// what was read is still known.
    async fn write(&self, writes: Vec<DesiredWrite>) -> Result<(), Failed> {
        let count = writes.len();
        let results = stream::iter(writes).map(|write| self.write_one(write));
        let results: Vec<_> = results.buffer_unordered(PARALLEL_WRITES).collect().await;
        if count > 0 {
            let failed = results.iter().filter(|result| result.is_err()).count();
            tracing::debug!(count, failed, "wrote desired states");
        }
        let again = Read::Nothing;
        let written: Result<(), StoreError> = results.into_iter().collect();
        written.map_err(|error| Failed { again, error })
    }

    async fn write_one(&self, write: DesiredWrite) -> Result<(), StoreError> {
        let DesiredWrite {
            device,
            state,
            expected,
        } = write;
        match self.stores.desired.write(&device, &state, expected).await {
            Ok(revision) => {
                self.fleet.dispatch().written(&device, state, revision);
                self.fleet.counted_write();
            }
            Err(StoreError::Conflict { .. }) => {
                let stored = self.stores.desired.read(&device).await?;
                self.fleet.dispatch().desired_read(&device, stored);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Says in the log what needs a person.
    fn report(&self) {
        let dispatch: &Dispatch = &self.fleet.dispatch();
        for name in dispatch.lost() {
            match dispatch.intent().unreadable.get(&name) {
                Some(problem) => {
                    tracing::warn!(deployment = %name, %problem, "a deployment cannot be read; devices keep what they have of it");
                }
                None => {
                    tracing::warn!(deployment = %name, "a deployment has disappeared without being deleted; devices keep it: apply it again, or delete it");
                }
            }
        }
    }
}
