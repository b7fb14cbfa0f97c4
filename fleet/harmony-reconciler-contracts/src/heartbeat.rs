//! The heartbeat: the smallest message, sent most often.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{BootId, SchemaVersion};

/// "I am alive", published on [`crate::subjects::heartbeat`] by core NATS: never stored, never
/// acknowledged. Short field names keep it below [`Heartbeat::MAX_BYTES`]; all that changes rarely
/// travels in the registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Schema of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The run of the agent that sends it.
    #[serde(rename = "b")]
    pub boot: BootId,
    /// Counts up from 1 within a boot. The receiver drops a number that it has passed.
    #[serde(rename = "s")]
    pub sequence: u64,
    /// The last heartbeat of this boot: the agent is stopping on purpose.
    #[serde(rename = "x", default, skip_serializing_if = "is_false")]
    pub leaving: bool,
}

impl Heartbeat {
    /// What a heartbeat with a 16 character boot id weighs at most, in bytes of payload.
    pub const MAX_BYTES: usize = 64;
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// How often a device sends a heartbeat: whole seconds, [`Self::MIN_SECONDS`] to [`Self::MAX_SECONDS`].
///
/// The device states it when it registers, because what counts as "late" follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct HeartbeatInterval(u32);

impl HeartbeatInterval {
    /// Shortest interval, in seconds.
    pub const MIN_SECONDS: u32 = 1;
    /// Longest interval, in seconds: one hour.
    pub const MAX_SECONDS: u32 = 3600;
    /// What a device uses unless told otherwise: 60 s, or 60 kB a day.
    pub const NOMINAL: Self = Self(60);

    /// An interval of whole seconds.
    pub fn from_seconds(seconds: u32) -> Result<Self, InvalidInterval> {
        if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(InvalidInterval { seconds })
        }
    }

    /// Whole seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The same as a duration.
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

/// A heartbeat interval outside its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidInterval {
    /// The seconds asked for.
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
