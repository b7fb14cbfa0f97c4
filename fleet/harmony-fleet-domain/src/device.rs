//! A device, as the registry keeps it, as the operator sees it, as tools are told of it.

use std::sync::Arc;
use std::time::Duration;

use harmony_reconciler_contracts::{
    BootId, DeviceId, DeviceInfo, HeartbeatInterval, ListedDevice, PresenceWord, SchemaVersion,
    StoredDevice,
};
use jiff::Timestamp;

use crate::presence::Presence;

/// What is known of a device while it sleeps: the content of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its name.
    pub id: DeviceId,
    /// The run of the agent that holds the name.
    pub boot: BootId,
    /// How often it promised a heartbeat.
    pub interval: HeartbeatInterval,
    /// What it says about itself.
    pub info: DeviceInfo,
    /// When this record was written, by the operator's clock. For people.
    pub registered_at: Timestamp,
}

/// A device as the operator sees it now: the record, and what was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetDevice {
    /// The registry's content.
    pub record: Arc<DeviceRecord>,
    /// Whether it is there; `None` while the operator has run for too short a time to say.
    pub presence: Option<Presence>,
    /// The last sign of life; `None` when there was none since the operator started.
    pub last_seen: Option<LastSeen>,
    /// The other run of an agent that is alive under the same name, if there is one.
    pub rival: Option<BootId>,
}

/// The last sign of life of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// Its age.
    pub ago: Duration,
    /// Its time by the operator's clock. For people.
    pub at: Timestamp,
}

/// A device as a tool is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSummary {
    /// Its name.
    pub id: DeviceId,
    /// Whether it is there; `None` when the operator cannot say yet.
    pub presence: Option<Presence>,
    /// Age of the last sign of life; `None` when there was none since the operator started.
    pub last_seen_ago: Option<Duration>,
    /// Whether two running agents claim this name.
    pub duplicate: bool,
    /// What it says about itself.
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
            // A time outside the calendar comes from a damaged value; it is only shown to people.
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
