//! The heartbeat: the smallest and most frequent message.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{BootId, SchemaVersion};

/// Tells the operator that a device is running. Published on [`crate::subjects::heartbeat`] with core NATS: never
/// stored and never acknowledged. Short field names keep it below [`Heartbeat::MAX_BYTES`]. Everything that rarely
/// changes is part of the registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The schema version of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The boot id of the agent.
    #[serde(rename = "b")]
    pub boot: BootId,
    /// Starts at 1 and increases within a boot. The receiver drops numbers that are not higher than the last one.
    #[serde(rename = "s")]
    pub sequence: u64,
    /// True for the last heartbeat of this boot: the agent is stopping on purpose.
    #[serde(rename = "x", default, skip_serializing_if = "is_false")]
    pub leaving: bool,
}

impl Heartbeat {
    /// The maximum size of a heartbeat with a boot id of 16 characters, in bytes of payload.
    pub const MAX_BYTES: usize = 64;
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// The time between two heartbeats of a device, in whole seconds from [`Self::MIN_SECONDS`] to [`Self::MAX_SECONDS`].
///
/// The device states it in its registration, because it determines when a heartbeat is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct HeartbeatInterval(u32);

impl HeartbeatInterval {
    /// The minimum, in seconds.
    pub const MIN_SECONDS: u32 = 1;
    /// The maximum, in seconds: one hour.
    pub const MAX_SECONDS: u32 = 3600;
    /// The default: 60 s, which is 60 kB per day.
    pub const NOMINAL: Self = Self(60);

    /// Creates an interval from seconds.
    pub fn from_seconds(seconds: u32) -> Result<Self, InvalidInterval> {
        if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(InvalidInterval { seconds })
        }
    }

    /// The interval in seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The interval as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl TryFrom<u32> for HeartbeatInterval {
    type Error = InvalidInterval;

    fn try_from(seconds: u32) -> Result<Self, InvalidInterval> {
        Self::from_seconds(seconds)
    }
}

impl From<HeartbeatInterval> for u32 {
    fn from(interval: HeartbeatInterval) -> Self {
        interval.0
    }
}

/// The interval is outside of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidInterval {
    /// The requested seconds.
    pub seconds: u32,
}

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a heartbeat every {} s is outside {} s to {} s",
            self.seconds,
            HeartbeatInterval::MIN_SECONDS,
            HeartbeatInterval::MAX_SECONDS
        )
    }
}

impl std::error::Error for InvalidInterval {}
