//! Who may hold a device id: the decision about a registration.
//!
//! The same device after a restart and another device with the same id look alike, because both have a new boot id.
//! They are distinguished as follows:
//!
//! | boot id of the new agent | current holder | decision |
//! | --- | --- | --- |
//! | (any) | none | accept |
//! | that of the holder | | accept, because nothing or only the properties have changed |
//! | new, with the holder's as the previous one | | accept: the same state directory, so this is a restart |
//! | new | silent for long, signed off, or not heard yet | accept: a replacement |
//! | new | running | refuse, and flag both: a duplicate |
//!
//! A refusal is not final: when the holder becomes silent, the next attempt is a replacement. A copied state directory
//! looks like a restart, and is detected by the heartbeats that the old holder continues to send; see
//! [`crate::FleetState::heartbeat`].

use harmony_reconciler_contracts::{BootId, DeviceId, Registration};
use jiff::Timestamp;

use crate::DeviceRecord;

/// The current holder of a device id.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The record of the holder.
    pub record: &'a DeviceRecord,
    /// Whether it was heard recently enough to count as running.
    pub alive: bool,
}

/// The decision about a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The registry already contains this registration.
    Unchanged,
    /// Write this record.
    Write {
        /// The record to write.
        record: DeviceRecord,
        /// The underlying error.
        reason: WriteReason,
    },
    /// Refuse, because the holder is running.
    Duplicate {
        /// The boot id of the holder.
        holder: BootId,
    },
}

/// The reason for writing a record, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteReason {
    /// The device is not in the registry.
    New,
    /// The same boot with other properties.
    Changed,
    /// The holder after a restart.
    Restarted,
    /// Another agent, after the holder became silent.
    Replaced,
}

/// Decides about a registration of `device`. Pure; `written_at` becomes part of the record.
pub fn decide(
    holder: Option<Holder<'_>>,
    device: &DeviceId,
    incoming: &Registration,
    written_at: Timestamp,
) -> Decision {
    let write = |reason| Decision::Write {
        record: DeviceRecord {
            id: device.clone(),
            boot: incoming.boot.clone(),
            interval: incoming.heartbeat_seconds,
            info: incoming.info.clone(),
            registered_at: written_at,
        },
        reason,
    };
    let Some(Holder { record, alive }) = holder else {
        return write(WriteReason::New);
    };
    if record.boot == incoming.boot {
        if record.interval == incoming.heartbeat_seconds && record.info == incoming.info {
            return Decision::Unchanged;
        }
        return write(WriteReason::Changed);
    }
    if incoming.previous_boot.as_ref() == Some(&record.boot) {
        return write(WriteReason::Restarted);
    }
    if alive {
        return Decision::Duplicate {
            holder: record.boot.clone(),
        };
    }
    write(WriteReason::Replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_reconciler_contracts::{DeviceInfo, HeartbeatInterval, SchemaVersion};

    fn registration(boot: &str, previous: Option<&str>) -> Registration {
        Registration {
            version: SchemaVersion::CURRENT,
            boot: boot.parse().unwrap(),
            previous_boot: previous.map(|text| text.parse().unwrap()),
            heartbeat_seconds: HeartbeatInterval::NOMINAL,
            info: DeviceInfo::default(),
        }
    }

    fn record(boot: &str) -> DeviceRecord {
        DeviceRecord {
            id: "pump-1".parse().unwrap(),
            boot: boot.parse().unwrap(),
            interval: HeartbeatInterval::NOMINAL,
            info: DeviceInfo::default(),
            registered_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn reason(
        holder: Option<(&DeviceRecord, bool)>,
        incoming: &Registration,
    ) -> Result<WriteReason, Box<Decision>> {
        let holder = holder.map(|(record, alive)| Holder { record, alive });
        match decide(
            holder,
            &"pump-1".parse().unwrap(),
            incoming,
            Timestamp::UNIX_EPOCH,
        ) {
            Decision::Write { record, reason } => {
                assert_eq!(record.boot, incoming.boot);
                Ok(reason)
            }
            other => Err(Box::new(other)),
        }
    }

    #[test]
    fn follows_the_table() {
        let holder = record("b1");
        assert_eq!(
            reason(None, &registration("b1", None)),
            Ok(WriteReason::New)
        );
        assert_eq!(
            reason(Some((&holder, true)), &registration("b1", None)),
            Err(Box::new(Decision::Unchanged))
        );
        assert_eq!(
            reason(Some((&holder, true)), &registration("b2", Some("b1"))),
            Ok(WriteReason::Restarted)
        );
        assert_eq!(
            reason(Some((&holder, false)), &registration("b2", None)),
            Ok(WriteReason::Replaced)
        );
        let duplicate = Err(Box::new(Decision::Duplicate {
            holder: "b1".parse().unwrap(),
        }));
        assert_eq!(
            reason(Some((&holder, true)), &registration("b2", None)),
            duplicate
        );
        assert_eq!(
            reason(Some((&holder, true)), &registration("b3", Some("b2"))),
            duplicate,
            "a previous boot that is not the holder's proves nothing"
        );
    }

    #[test]
    fn the_same_run_may_change_its_facts() {
        let holder = record("b1");
        let mut faster = registration("b1", None);
        faster.heartbeat_seconds = HeartbeatInterval::from_seconds(5).unwrap();
        assert_eq!(
            reason(Some((&holder, true)), &faster),
            Ok(WriteReason::Changed)
        );
        let mut moved = registration("b1", None);
        moved.info.labels = "site=lyon".parse().unwrap();
        assert_eq!(
            reason(Some((&holder, true)), &moved),
            Ok(WriteReason::Changed)
        );
    }
}
