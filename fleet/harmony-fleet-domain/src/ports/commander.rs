//! Sending commands to a device.

use std::time::Duration;

use async_trait::async_trait;
use harmony_reconciler_contracts::{BootId, CommandError, DeviceId};

use crate::Cause;

/// Sends commands to devices and returns their answers.
#[async_trait]
pub trait DeviceCommander: Send + Sync {
    /// Pings a device. `sequence` numbers the pings of a series.
    async fn ping(&self, device: &DeviceId, sequence: u32) -> Result<Pong, CommandFailure>;
}

/// The answer of a device to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// The time from sending to receiving.
    pub round_trip: Duration,
    /// The version of the agent.
    pub agent_version: String,
    /// The boot id of the agent.
    pub boot: BootId,
}

/// The reason why a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailure {
    /// No agent with this id is connected.
    #[error("device `{device}` is not connected")]
    NotConnected {
        /// The device.
        device: DeviceId,
    },
    /// The agent is connected, but did not answer in time.
    #[error("device `{device}` did not answer within {seconds} s")]
    NoAnswer {
        /// The device.
        device: DeviceId,
        /// The time waited, in seconds.
        seconds: u64,
    },
    /// The device refused the command.
    #[error("device `{device}` refused")]
    Refused {
        /// The device.
        device: DeviceId,
        /// The reason of the device.
        #[source]
        source: CommandError,
    },
    /// The answer is not valid.
    #[error("the answer of device `{device}` cannot be read")]
    Unreadable {
        /// The device.
        device: DeviceId,
        /// The reason.
        #[source]
        source: Cause,
    },
    /// The client failed.
    #[error("cannot send a command to device `{device}`")]
    Failed {
        /// The device.
        device: DeviceId,
        /// The error of the client.
        #[source]
        source: Cause,
    },
}
