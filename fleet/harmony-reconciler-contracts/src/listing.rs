//! The list of devices, as the operator gives it to tools.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, DeviceInfo, SchemaVersion};

/// Request on [`crate::subjects::list_devices`]: one page of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDevices {
    /// Schema of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// Devices after this one, in the order of their ids; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DeviceId>,
}

impl ListDevices {
    /// The request of this build for the page after a device.
    pub fn page_after(after: Option<DeviceId>) -> Self {
        Self {
            version: SchemaVersion::CURRENT,
            after,
        }
    }
}

/// One page of the list of devices, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceListing {
    /// Schema of the operator.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The devices of this page, at most [`DeviceListing::PAGE_SIZE`].
    pub devices: Vec<ListedDevice>,
    /// Whether there are devices after the last one of this page.
    #[serde(default)]
    pub more: bool,
    /// What a person should know about the list as a whole, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl DeviceListing {
    /// Most devices of a page: when each has all its labels at full length, a page stays below the 1 MiB of a NATS
    /// message.
    pub const PAGE_SIZE: usize = 150;
}

/// One device in a [`DeviceListing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDevice {
    /// Its id.
    pub device: DeviceId,
    /// Whether it is there.
    pub presence: PresenceWord,
    /// Age of its last sign of life, in milliseconds; absent when this operator has heard none since it
    /// started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms_ago: Option<u64>,
    /// Whether two running agents claim this id.
    #[serde(default)]
    pub duplicate: bool,
    /// What it says about itself.
    pub info: DeviceInfo,
}

/// Presence of a device, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceWord {
    /// Heartbeats come as promised.
    Online,
    /// Some are late.
    Stale,
    /// Gone, by its own word or by long silence.
    Offline,
    /// The operator has just started and has not heard enough, or a word that this build does not know.
    #[serde(other)]
    Unknown,
}
