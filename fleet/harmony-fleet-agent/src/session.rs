//! Registers, then sends heartbeats, again and again, whatever happens to the network.
//!
//! ```text
//!            +--- refused, no operator, no network: wait, again ---+
//!            v                                                     |
//!  start -> register ----------------------------------------------+
//!            |  accepted                 ^
//!            v                           | the operator asks to register again
//!           heartbeat, heartbeat, ... ---+
//! ```

use std::time::Duration;

use harmony_fleet_adapters_nats::Backoff;
use harmony_fleet_domain::{AgentLink, ErrorChain, LinkError};
use harmony_reconciler_contracts::{
    BootId, DeviceInfo, Heartbeat, HeartbeatInterval, RefusalReason, Registration,
    RegistrationReply, SchemaVersion,
};
use tokio::sync::Notify;

use crate::random::{AFTER_RECONNECT, at_random, sleep_at_random};
use crate::state::{Memory, StateFolder};
use crate::status::Status;

/// The time between attempts to register without an answer.
pub const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));

/// Heartbeats are shifted randomly by up to this fraction of the interval, so that devices that started together do not
/// send at the same time forever.
const JITTER: f64 = 0.1;

/// After a restart of NATS, the operator reconnects within this time. It does not hear heartbeats that are sent before.
const OPERATOR_RECONNECTS: Duration = Duration::from_secs(2);

/// The time that the agent waits for the first connection before it logs a problem.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// A run of the agent, as seen by the operator.
#[derive(Debug)]
pub struct Session<'a, L> {
    link: &'a L,
    state: &'a StateFolder,
    status: &'a Status,
    memory: Memory,
    registration: Registration,
    sequence: u64,
    accepted: bool,
}

impl<'a, L: AgentLink> Session<'a, L> {
    /// The boot `boot`, which follows the one in `memory`. Sends nothing yet.
    pub fn new(
        link: &'a L,
        state: &'a StateFolder,
        status: &'a Status,
        memory: Memory,
        boot: BootId,
        interval: HeartbeatInterval,
        info: DeviceInfo,
    ) -> Self {
        let registration = Registration {
            version: SchemaVersion::CURRENT,
            boot,
            previous_boot: memory.registered_boot.clone(),
            heartbeat_seconds: interval,
            info,
        };
        Self {
            link,
            state,
            status,
            memory,
            registration,
            sequence: 0,
            accepted: false,
        }
    }

    /// Keeps the device registered and sends heartbeats. Never returns.
    pub async fn keep_going(&mut self, register_again: &Notify) {
        let _ = tokio::time::timeout(FIRST_CONNECTION, self.link.came_up()).await;
        loop {
            self.register().await;
            self.beat_until(register_again).await;
            // An operator that lost its registry asks all devices at the same time.
            sleep_at_random(AFTER_RECONNECT).await;
        }
    }

    /// Tells the operator that the agent is stopping. Errors are ignored.
    pub async fn say_goodbye(&mut self) {
        if self.accepted {
            let farewell = self.next_heartbeat(true);
            if let Err(error) = self.link.heartbeat(&farewell).await {
                tracing::debug!(error = %ErrorChain(&error), "could not send the goodbye message");
            }
        }
    }

    /// Repeats the registration until the operator accepts it.
    async fn register(&mut self) {
        let mut attempt = 0;
        loop {
            let wait = match self.link.register(&self.registration).await {
                Ok(RegistrationReply::Accepted { .. }) => {
                    self.was_accepted();
                    return;
                }
                Ok(RegistrationReply::Refused {
                    reason,
                    detail,
                    retry_after_seconds,
                    ..
                }) => {
                    attempt = 0;
                    self.was_refused(reason, detail.as_str());
                    at_random(
                        Duration::from_secs(u64::from(retry_after_seconds.max(1))),
                        0.25,
                    )
                }
                Err(error) => {
                    attempt += 1;
                    self.failed(&error);
                    RETRY.wait(attempt)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.link.reconnected() => {
                    attempt = 0;
                    sleep_at_random(AFTER_RECONNECT).await;
                }
            }
        }
    }

    /// Sends heartbeats until the operator asks to register again.
    async fn beat_until(&mut self, register_again: &Notify) {
        loop {
            let heartbeat = self.next_heartbeat(false);
            match self.link.heartbeat(&heartbeat).await {
                Ok(()) => self.status.heartbeat_sent(),
                Err(error) => self.failed(&error),
            }
            let wait = at_random(self.registration.heartbeat_seconds.as_duration(), JITTER);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.link.reconnected() => {
                    tokio::time::sleep(OPERATOR_RECONNECTS).await;
                    sleep_at_random(AFTER_RECONNECT).await;
                }
                () = register_again.notified() => {
                    tracing::info!("the operator asks this device to register again");
                    return;
                }
            }
        }
    }

    fn next_heartbeat(&mut self, leaving: bool) -> Heartbeat {
        self.sequence += 1;
        Heartbeat {
            version: SchemaVersion::CURRENT,
            boot: self.registration.boot.clone(),
            sequence: self.sequence,
            leaving,
        }
    }

    fn was_accepted(&mut self) {
        let boot = &self.registration.boot;
        tracing::info!(device = %self.memory.device, %boot, "registered");
        self.accepted = true;
        self.status.registered();
        if self.memory.registered_boot.as_ref() != Some(boot) {
            self.memory.registered_boot = Some(boot.clone());
            if let Err(error) = self.state.remember(&self.memory) {
                // The agent continues. After a restart, the operator may treat it as a second device for a while.
                tracing::warn!(error = %ErrorChain(&error), "cannot store the registration");
            }
        }
        self.registration.previous_boot = Some(boot.clone());
    }

    fn was_refused(&mut self, reason: RefusalReason, detail: &str) {
        self.accepted = false;
        tracing::warn!(
            ?reason,
            detail,
            "the operator refuses this device; trying again"
        );
        self.status
            .refused(format!("refused by the operator: {detail}"));
    }

    fn failed(&self, error: &LinkError) {
        let problem = ErrorChain(error).to_string();
        if self.status.trouble(problem.clone()) {
            tracing::warn!(
                error = problem,
                "cannot reach the operator; trying again until it answers"
            );
        }
    }
}
