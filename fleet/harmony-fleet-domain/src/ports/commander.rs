//! Asking one device to do something now.

use std::time::Duration;

use async_trait::async_trait;
use harmony_reconciler_contracts::{BootId, CommandError, DeviceId};

use crate::Cause;

/// Sends commands to devices and brings back their answers.
#[async_trait]
pub trait DeviceCommander: Send + Sync {
    /// Asks a device for a sign of life. `sequence` numbers the pings of one series.
    async fn ping(&self, device: &DeviceId, sequence: u32) -> Result<Pong, CommandFailure>;
}

/// A device's answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// From sending to receiving.
    pub round_trip: Duration,
    /// Version of the agent.
    pub agent_version: String,
    /// The run of the agent that answered.
    pub boot: BootId,
}

/// Why a command brought no result.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailure {
    /// No agent with this id is connected.
    #[error("device `{device}` is not connected")]
    NotConnected {
        /// The device.
        device: DeviceId,
    },
    /// It is connected, but did not answer in time.
    #[error("device `{device}` did not answer within {seconds} s")]
    NoAnswer {
        /// The device.
        device: DeviceId,
        /// How long was waited.
        seconds: u64,
    },
    /// The device answered that it did not do it.
    #[error("device `{device}` refused")]
    Refused {
        /// The device.
        device: DeviceId,
        /// Its reason.
        #[source]
        source: CommandError,
    },
    /// The answer is not one.
    #[error("the answer of device `{device}` cannot be read")]
    Unreadable {
        /// The device.
        device: DeviceId,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// The fabric's client failed.
    #[error("cannot send a command to device `{device}`")]
    Failed {
        /// The device.
        device: DeviceId,
        /// What it said.
        #[source]
        source: Cause,
    },
}
