//! The connection of an agent to the operator.

use async_trait::async_trait;
use harmony_reconciler_contracts::{Heartbeat, Registration, RegistrationReply};

use crate::Cause;

/// The connection of a device to the operator of its tenant.
///
/// No method waits for the network to recover: each call returns within a limited time, and the agent decides when to
/// try again.
#[async_trait]
pub trait AgentLink: Send + Sync {
    /// Asks the operator to register this device.
    async fn register(&self, registration: &Registration) -> Result<RegistrationReply, LinkError>;

    /// Sends a heartbeat. `Ok` means that it was passed to an open connection, and not that it was received. Heartbeats
    /// are not queued while there is no connection, because an old heartbeat has no value.
    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LinkError>;

    /// Returns when the connection has been established at least once.
    async fn came_up(&self);

    /// Returns when the connection is established the next time, and never earlier.
    async fn reconnected(&self);
}

/// The reason why the operator could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is currently no connection.
    #[error("not connected to `{url}`")]
    NotConnected {
        /// Where to.
        url: String,
    },
    /// There is a connection, but no operator is listening.
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
        /// The time waited, in seconds.
        seconds: u64,
    },
    /// The answer is not valid.
    #[error("the answer on `{subject}` cannot be read")]
    Unreadable {
        /// The subject.
        subject: String,
        /// The reason.
        #[source]
        source: Cause,
    },
    /// The client failed.
    #[error("cannot send on `{subject}`")]
    Failed {
        /// The subject.
        subject: String,
        /// The error of the client.
        #[source]
        source: Cause,
    },
}
