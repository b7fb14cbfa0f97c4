//! A device: in the registry, as seen by the operator, and as shown to tools.

use std::sync::Arc;
use std::time::Duration;

use harmony_reconciler_contracts::{
    BootId, DeviceId, DeviceInfo, HeartbeatInterval, ListedDevice, PresenceWord, SchemaVersion,
    StoredDevice,
};
use jiff::Timestamp;

use crate::presence::Presence;

/// The stored information about a device: the content of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// The name of the Score.
    pub id: DeviceId,
    /// The boot id of the agent that holds the device id.
    pub boot: BootId,
    /// The time between two heartbeats that it promised.
    pub interval: HeartbeatInterval,
    /// What the device reports about itself.
    pub info: DeviceInfo,
    /// The time of this write on the operator's clock. For information.
    pub registered_at: Timestamp,
}

/// The operator's current view of a device: its record, and what was heard from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetDevice {
    /// The record in the registry.
    pub record: Arc<DeviceRecord>,
    /// Whether it is online; `None` if the operator has not been running long enough to know.
    pub presence: Option<Presence>,
    /// When it was last heard; `None` if it has not been heard since the operator started.
    pub last_seen: Option<LastSeen>,
    /// The boot id of another running agent with the same device id, if there is one.
    pub rival: Option<BootId>,
}

/// When a device was last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// The time since then.
    pub ago: Duration,
    /// The time on the operator's clock. For information.
    pub at: Timestamp,
}

/// The information about a device for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSummary {
    /// The name of the Score.
    pub id: DeviceId,
    /// Whether it is online; `None` if the operator does not know yet.
    pub presence: Option<Presence>,
    /// The time since it was last heard; `None` if it has not been heard since the operator started.
    pub last_seen_ago: Option<Duration>,
    /// Whether two running agents use this device id.
    pub duplicate: bool,
    /// What the device reports about itself.
    pub info: DeviceInfo,
}

impl From<&DeviceRecord> for StoredDevice {
    fn from(record: &DeviceRecord) -> Self {
        Self {
            version: SchemaVersion::CURRENT,
            device: record.id.clone(),
            boot: record.boot.clone(),
            heartbeat_seconds: record.interval,
            registered_at_ms: record.registered_at.as_millisecond(),
            info: record.info.clone(),
        }
    }
}

impl From<StoredDevice> for DeviceRecord {
    fn from(stored: StoredDevice) -> Self {
        Self {
            id: stored.device,
            boot: stored.boot,
            interval: stored.heartbeat_seconds,
            info: stored.info,
            // A time outside of the calendar comes from a damaged value. It is only shown to users.
            registered_at: Timestamp::from_millisecond(stored.registered_at_ms)
                .unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

impl From<&FleetDevice> for ListedDevice {
    fn from(device: &FleetDevice) -> Self {
        Self {
            device: device.record.id.clone(),
            presence: match device.presence {
                Some(Presence::Online) => PresenceWord::Online,
                Some(Presence::Stale) => PresenceWord::Stale,
                Some(Presence::Offline) => PresenceWord::Offline,
                None => PresenceWord::Unknown,
            },
            last_seen_ms_ago: device
                .last_seen
                .map(|seen| u64::try_from(seen.ago.as_millis()).unwrap_or(u64::MAX)),
            duplicate: device.rival.is_some(),
            info: device.record.info.clone(),
        }
    }
}

impl From<ListedDevice> for DeviceSummary {
    fn from(listed: ListedDevice) -> Self {
        Self {
            id: listed.device,
            presence: match listed.presence {
                PresenceWord::Online => Some(Presence::Online),
                PresenceWord::Stale => Some(Presence::Stale),
                PresenceWord::Offline => Some(Presence::Offline),
                PresenceWord::Unknown => None,
            },
            last_seen_ago: listed.last_seen_ms_ago.map(Duration::from_millis),
            duplicate: listed.duplicate,
            info: listed.info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_registry() {
        let record = DeviceRecord {
            id: "pump-1".parse().unwrap(),
            boot: "b1".parse().unwrap(),
            interval: HeartbeatInterval::NOMINAL,
            info: DeviceInfo {
                hostname: "box".into(),
                ..DeviceInfo::default()
            },
            registered_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
        };
        assert_eq!(DeviceRecord::from(StoredDevice::from(&record)), record);
    }

    #[test]
    fn a_tool_is_told_what_the_operator_sees() {
        let record = DeviceRecord {
            id: "pump-1".parse().unwrap(),
            boot: "b1".parse().unwrap(),
            interval: HeartbeatInterval::NOMINAL,
            info: DeviceInfo::default(),
            registered_at: Timestamp::UNIX_EPOCH,
        };
        for presence in [
            None,
            Some(Presence::Online),
            Some(Presence::Stale),
            Some(Presence::Offline),
        ] {
            let device = FleetDevice {
                record: Arc::new(record.clone()),
                presence,
                last_seen: Some(LastSeen {
                    ago: Duration::from_secs(3),
                    at: Timestamp::UNIX_EPOCH,
                }),
                rival: Some("b2".parse().unwrap()),
            };
            let summary = DeviceSummary::from(ListedDevice::from(&device));
            assert_eq!(summary.presence, presence);
            assert_eq!(summary.last_seen_ago, Some(Duration::from_secs(3)));
            assert!(summary.duplicate);
        }
    }
}
