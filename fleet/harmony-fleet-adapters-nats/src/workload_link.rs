//! What a device should run, and what it runs, over its own subjects.

use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use async_nats::Subscriber;
use async_trait::async_trait;
use futures_util::StreamExt;
use harmony_fleet_domain::{
    AgentLink, ErrorChain, Expected, LinkError, Revision, StoreError, WorkloadLink,
};
use harmony_reconciler_contracts::{
    DesiredState, DeviceId, Heartbeat, ObservedState, Registration, RegistrationReply, TenantId,
    subjects,
};
use tokio::sync::Mutex;

use crate::bucket::{Bucket, Stored, read};
use crate::decode::{DESIRED_STATE, decode};
use crate::{Backoff, NatsAgentLink, NatsConnection};

/// The [`WorkloadLink`] of a device: one core subscription, Direct Gets of its own keys, and writes of its own observed
/// state with compare-and-swap. It has no JetStream consumer. It is an [`AgentLink`], too.
#[derive(Debug)]
pub struct NatsWorkloadLink {
    agent: NatsAgentLink,
    connection: NatsConnection,
    device: DeviceId,
    pushes: String,
    desired: Bucket,
    observed: Bucket,
    /// Opened by the first call and then kept, so that nothing is missed between two calls.
    subscription: Mutex<Option<Subscriber>>,
    reported: StdMutex<Reported>,
}

/// The last report.
#[derive(Debug, Clone, Default)]
struct Reported {
    /// The revision in the store, as far as it is known.
    revision: Option<Revision>,
    state: Option<ObservedState>,
}

/// The number of attempts at a report while another writer changes it.
const ATTEMPTS: u32 = 4;

/// The time between attempts to subscribe, which fail only if the client ends.
const SUBSCRIBE_AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

impl NatsWorkloadLink {
    /// The link of `device`. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: &TenantId, device: &DeviceId) -> Self {
        let bucket = |name| Bucket::new(connection.clone(), name, tenant.clone());
        Self {
            agent: NatsAgentLink::new(connection.clone(), tenant, device),
            pushes: subjects::desired(tenant, device),
            desired: bucket(subjects::DESIRED_BUCKET),
            observed: bucket(subjects::OBSERVED_BUCKET),
            device: device.clone(),
            subscription: Mutex::new(None),
            reported: StdMutex::default(),
            connection,
        }
    }

    fn reported(&self) -> std::sync::MutexGuard<'_, Reported> {
        // Only complete values are assigned, so a panic elsewhere cannot have left an invalid one.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn subscribe(&self, open: &mut Option<Subscriber>) -> Result<(), LinkError> {
        if open.is_none() {
            let client = &self.connection.client;
            let subscribed = client.subscribe(self.pushes.clone()).await;
            *open = Some(subscribed.map_err(|source| LinkError::Failed {
                subject: self.pushes.clone(),
                source: source.into(),
            })?);
        }
        Ok(())
    }

    /// The next message on the open subscription.
    async fn next_push(&self) -> Result<DesiredState, LinkError> {
        let mut open = self.subscription.lock().await;
        self.subscribe(&mut open).await?;
        while let Some(subscriber) = open.as_mut() {
            match subscriber.next().await {
                // A deletion has no content, and changes nothing on the device.
                Some(message) if message.payload.is_empty() => {}
                Some(message) => match decode(&message.payload, DESIRED_STATE) {
                    Ok(state) => return Ok(state),
                    Err(error) => tracing::warn!(%error, "ignoring an invalid desired state"),
                },
                None => *open = None,
            }
        }
        Err(LinkError::NotConnected {
            url: self.connection.servers().to_owned(),
        })
    }

    /// A state that is not newer asks for the report, which the store may have lost.
    async fn repeat_report(&self, pushed: &DesiredState) {
        let reported = self.reported().state.clone();
        let Some(state) = reported.filter(|state| state.generation >= pushed.generation) else {
            return;
        };
        let stored = self.observed.get(self.device.as_str()).await;
        let is_there = stored.is_ok_and(|stored| says(stored, &state));
        if !is_there && let Err(error) = self.report(&state).await {
            tracing::warn!(error = %ErrorChain(&error), "cannot repeat the report");
        }
    }

    fn failed(&self, bucket: &str, error: StoreError) -> LinkError {
        let subject = format!("{bucket} of {}", self.device);
        match error {
            StoreError::Missing { .. } => LinkError::NoOperator { subject },
            other => LinkError::Failed {
                subject,
                source: other.into(),
            },
        }
    }
}

#[async_trait]
impl AgentLink for NatsWorkloadLink {
    async fn register(&self, registration: &Registration) -> Result<RegistrationReply, LinkError> {
        self.agent.register(registration).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LinkError> {
        self.agent.heartbeat(heartbeat).await
    }

    async fn came_up(&self) {
        self.agent.came_up().await;
    }

    async fn reconnected(&self) {
        self.agent.reconnected().await;
    }
}

#[async_trait]
impl WorkloadLink for NatsWorkloadLink {
    async fn desired(&self) -> Result<Option<DesiredState>, LinkError> {
        self.connection.check_up()?;
        // Before the read, so that no change is missed in between. If it is locked, `pushed` has it open.
        if let Ok(mut open) = self.subscription.try_lock() {
            self.subscribe(&mut open).await?;
        }
        let stored = self.desired.get(self.device.as_str()).await;
        let stored = stored.map_err(|error| self.failed(subjects::DESIRED_BUCKET, error))?;
        let Some(stored) = stored.and_then(read) else {
            return Ok(None);
        };
        stored
            .value
            .map(Some)
            .map_err(|source| LinkError::Unreadable {
                subject: subjects::DESIRED_BUCKET.to_owned(),
                source: source.into(),
            })
    }

    async fn pushed(&self) -> DesiredState {
        for attempt in 1.. {
            match self.next_push().await {
                Ok(state) => {
                    // If this is cancelled, only a state is lost that says nothing new.
                    self.repeat_report(&state).await;
                    return state;
                }
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "cannot wait for desired states");
                    tokio::time::sleep(SUBSCRIBE_AGAIN.wait(attempt)).await;
                }
            }
        }
        std::future::pending().await
    }

    async fn report(&self, state: &ObservedState) -> Result<(), LinkError> {
        self.connection.check_up()?;
        let failed = |error| self.failed(subjects::OBSERVED_BUCKET, error);
        let value = serde_json::to_vec(state).map_err(|source| LinkError::Failed {
            subject: subjects::OBSERVED_BUCKET.to_owned(),
            source: source.into(),
        })?;
        let mut expected = self
            .reported()
            .revision
            .map_or(Expected::Absent, Expected::Revision);
        for _ in 0..ATTEMPTS {
            let written = self
                .observed
                .put(self.device.as_str(), value.clone(), expected)
                .await;
            match written {
                Ok(revision) => {
                    let mut reported = self.reported();
                    reported.revision = Some(revision);
                    reported.state = Some(state.clone());
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
            let found = self
                .observed
                .get(self.device.as_str())
                .await
                .map_err(failed)?;
            expected = found
                .as_ref()
                .map_or(Expected::Absent, |it| Expected::Revision(it.revision));
            self.reported().revision = found.as_ref().map(|it| it.revision);
            if says(found, state) {
                return Ok(());
            }
        }
        Err(failed(StoreError::Conflict {
            key: self.device.to_string(),
        }))
    }
}

/// Whether the stored state already says what `ours` says, or more. Another boot of the agent ended before this one began.
fn says(stored: Option<Stored>, ours: &ObservedState) -> bool {
    let stored = stored.and_then(read::<ObservedState>);
    let stored = stored.and_then(|stored| stored.value.ok());
    stored.is_some_and(|it| it.boot == ours.boot && it.sequence >= ours.sequence)
}
