//! What an agent needs of the fabric to be known to the operator.

use async_trait::async_trait;
use harmony_reconciler_contracts::{Heartbeat, Registration, RegistrationReply};

use crate::Cause;

/// The way from one device to the operator of its tenant.
///
/// Nothing here waits for the network to come back: each call ends within a bounded time, and the agent
/// decides when to try again.
#[async_trait]
pub trait AgentLink: Send + Sync {
    /// Asks the operator to register this device.
    async fn register(&self, registration: &Registration) -> Result<RegistrationReply, LinkError>;

    /// Sends a heartbeat. `Ok` means handed to a live connection, not received. Nothing is queued
    /// while the link is down: an old heartbeat says nothing.
    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LinkError>;

    /// Returns when the link has been up at least once: at once if it has.
    async fn came_up(&self);

    /// Returns when the link comes up the next time. Never returns early.
    async fn reconnected(&self);
}

/// Why the operator was not reached.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no connection at the moment.
    #[error("not connected to `{url}`")]
    NotConnected {
        /// Where to.
        url: String,
    },
    /// Connected, but no operator listens.
    #[error("no operator listens on `{subject}`")]
    NoOperator {
        /// The subject.
        subject: String,
    },
    /// The operator did not answer in time.
    #[error("no answer on `{subject}` within {seconds} s")]
    NoAnswer {
        /// The subject.
        subject: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer is not one.
    #[error("the answer on `{subject}` cannot be read")]
    Unreadable {
        /// The subject.
        subject: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// The fabric's client failed.
    #[error("cannot send on `{subject}`")]
    Failed {
        /// The subject.
        subject: String,
        /// What it said.
        #[source]
        source: Cause,
    },
}
