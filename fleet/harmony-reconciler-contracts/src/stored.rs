//! What the registry keeps of a device.

use serde::{Deserialize, Serialize};

use crate::{BootId, DeviceId, DeviceInfo, HeartbeatInterval, SchemaVersion};

/// The value under a device's key in the registry bucket: written when a registration changes
/// something, never by a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDevice {
    /// Schema of the writer.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The device.
    pub device: DeviceId,
    /// The run of the agent that holds the id.
    pub boot: BootId,
    /// How often its heartbeats come.
    pub heartbeat_seconds: HeartbeatInterval,
    /// When this was written: milliseconds since 1970 by the operator's clock. For people; never compared.
    pub registered_at_ms: i64,
    /// What the device says about itself.
    pub info: DeviceInfo,
}
