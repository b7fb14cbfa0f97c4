//! The content of the registry for a device.

use serde::{Deserialize, Serialize};

use crate::{BootId, DeviceId, DeviceInfo, HeartbeatInterval, SchemaVersion};

/// The value for a device in the registry bucket. It is written when a registration changes something, and never by a
/// heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDevice {
    /// The schema version of the writer.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The device.
    pub device: DeviceId,
    /// The boot id of the agent that holds the id.
    pub boot: BootId,
    /// The time between two heartbeats.
    pub heartbeat_seconds: HeartbeatInterval,
    /// The time of this write: milliseconds since 1970 on the operator's clock. For information; never compared.
    pub registered_at_ms: i64,
    /// What the device reports about itself.
    pub info: DeviceInfo,
}
