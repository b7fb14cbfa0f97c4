//! The list of devices that the operator provides to tools.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, DeviceInfo, SchemaVersion};

/// A request on [`crate::subjects::list_devices`] for one page of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDevices {
    /// The schema version of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// Return the devices after this one, sorted by id; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DeviceId>,
}

impl ListDevices {
    /// The request for the page after this device.
    pub fn page_after(after: Option<DeviceId>) -> Self {
        Self {
            version: SchemaVersion::CURRENT,
            after,
        }
    }
}

/// A page of the list of devices, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceListing {
    /// The schema version of the operator.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The devices on this page, at most [`DeviceListing::PAGE_SIZE`].
    pub devices: Vec<ListedDevice>,
    /// Whether there are devices after the last one on this page.
    #[serde(default)]
    pub more: bool,
    /// Warnings about the list as a whole, for users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl DeviceListing {
    /// The maximum number of devices on a page. Even if each device has all of its labels at maximum length, a page
    /// stays below the NATS limit of 1 MiB.
    pub const PAGE_SIZE: usize = 150;
}

/// A device in a [`DeviceListing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDevice {
    /// The device id.
    pub device: DeviceId,
    /// Whether it is online.
    pub presence: PresenceWord,
    /// The time since it was last heard, in milliseconds; absent if this operator has not heard it since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms_ago: Option<u64>,
    /// Whether two running agents use this id.
    #[serde(default)]
    pub duplicate: bool,
    /// What the device reports about itself.
    pub info: DeviceInfo,
}

/// The presence of a device, as sent in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceWord {
    /// Heartbeats arrive on time.
    Online,
    /// Some heartbeats are missing.
    Stale,
    /// The device signed off, or has been silent for a long time.
    Offline,
    /// The operator has just started and has not heard enough yet, or the value is not known to this build.
    #[serde(other)]
    Unknown,
}
