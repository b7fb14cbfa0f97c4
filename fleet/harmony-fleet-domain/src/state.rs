//! The operator's knowledge of its devices, in memory.
//!
//! It is updated from the registry (at start and on each resync), from registrations and from heartbeats. It does no
//! I/O: the loops of the operator call it with what happened, and carry out the result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use harmony_reconciler_contracts::{BootId, DeviceId, Heartbeat, Registration};
use jiff::Timestamp;

use crate::presence::{Presence, offline_after, presence, stale_after};
use crate::registration::{Decision, Holder, WriteReason, decide};
use crate::{DeviceRecord, Expected, FleetDevice, LastSeen, Moment, Revision};

/// The devices of a tenant.
#[derive(Debug, Default)]
pub struct FleetState {
    devices: BTreeMap<DeviceId, Entry>,
    newcomers: Newcomers,
}

/// Limits how many new devices are accepted: a burst, then a steady rate. Known devices do not count.
#[derive(Debug)]
struct Newcomers {
    left: u32,
    counted_at: Moment,
}

impl Default for Newcomers {
    fn default() -> Self {
        Self {
            left: FleetState::NEW_DEVICES_AT_ONCE,
            counted_at: Moment::after_start(Duration::ZERO),
        }
    }
}

impl Newcomers {
    /// Accepts another device if the rate allows it.
    fn admit(&mut self, now: Moment) -> bool {
        let seconds = now.since(self.counted_at).as_secs();
        if seconds > 0 {
            let earned = u32::try_from(seconds)
                .unwrap_or(u32::MAX)
                .saturating_mul(FleetState::NEW_DEVICES_PER_SECOND);
            self.left = self
                .left
                .saturating_add(earned)
                .min(FleetState::NEW_DEVICES_AT_ONCE);
            self.counted_at = now;
        }
        let admitted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admitted
    }
}

#[derive(Debug)]
struct Entry {
    /// Shared with the views, so that looking at all devices does not copy them.
    record: Arc<DeviceRecord>,
    revision: Revision,
    /// When this record was loaded. A resync that started earlier must not remove it.
    known_since: Moment,
    heard: Heard,
    /// Whether it ever sent a heartbeat. A name that was only registered may not belong to a device.
    has_sent_heartbeats: bool,
    rival: Option<Rival>,
}

/// What was heard from the holder of a device id.
#[derive(Debug, Clone, Copy)]
enum Heard {
    /// Nothing yet; the operator has been listening since this moment.
    NotSince(Moment),
    /// The device is running.
    Alive {
        at: Moment,
        wall: Timestamp,
        /// The number of the latest heartbeat of this boot; 0 if only the registration was received.
        sequence: u64,
    },
    /// The device signed off.
    Left {
        at: Moment,
        wall: Timestamp,
        sequence: u64,
    },
}

/// Another running agent with the same device id.
#[derive(Debug)]
struct Rival {
    boot: BootId,
    heard_at: Moment,
}

/// What the operator has to do about a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationStep {
    /// Accept it without a write.
    Accept,
    /// Write the record. After the write, call [`FleetState::commit_registration`] and accept the registration.
    Write {
        /// The record to write.
        record: DeviceRecord,
        /// What the registry should contain before the write.
        expected: Expected,
        /// The reason, for the log.
        reason: WriteReason,
    },
    /// Refuse: the maximum number of devices is reached, or too many new devices register at the same time.
    TooMany,
    /// Refuse: another running agent holds the id.
    Refuse {
        /// The boot id of the holder.
        holder: BootId,
    },
}

/// The meaning of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatEffect {
    /// The holder is running.
    Alive,
    /// The holder has signed off.
    Left,
    /// A repeated heartbeat; ignored.
    Repeated,
    /// This boot is not in the registry: ask the device to register.
    AskToRegister,
    /// Another agent sends heartbeats while the holder is running. Both are flagged.
    Duplicate {
        /// The boot id of the holder.
        holder: BootId,
        /// Whether this agent was already flagged, so that only the first time is logged.
        known: bool,
    },
}

impl FleetState {
    /// The maximum number of devices of a tenant, so that registrations cannot fill the memory of the operator and the
    /// registry.
    pub const MAX_DEVICES: usize = 20_000;
    /// The number of new devices that are accepted in a burst.
    pub const NEW_DEVICES_AT_ONCE: u32 = 1_000;
    /// The number of new devices that are accepted per second after that.
    pub const NEW_DEVICES_PER_SECOND: u32 = 20;

    /// Decides about a registration that was received at `now`. `wall` becomes part of the record.
    pub fn decide_registration(
        &mut self,
        device: &DeviceId,
        incoming: &Registration,
        now: Moment,
        wall: Timestamp,
    ) -> RegistrationStep {
        let full = self.devices.len() >= Self::MAX_DEVICES;
        let entry = self.devices.get_mut(device);
        if entry.is_none() && (full || !self.newcomers.admit(now)) {
            return RegistrationStep::TooMany;
        }
        let holder = entry.as_ref().map(|entry| Holder {
            record: &entry.record,
            alive: entry.is_alive(now),
        });
        match decide(holder, device, incoming, wall) {
            Decision::Unchanged => {
                if let Some(entry) = entry {
                    entry.heard = entry.heard.registered(now, wall);
                }
                RegistrationStep::Accept
            }
            Decision::Write { record, reason } => RegistrationStep::Write {
                record,
                expected: entry.map_or(Expected::Absent, |e| Expected::Revision(e.revision)),
                reason,
            },
            Decision::Duplicate { holder } => {
                if let Some(entry) = entry {
                    entry.rival = Some(Rival {
                        boot: incoming.boot.clone(),
                        heard_at: now,
                    });
                }
                RegistrationStep::Refuse { holder }
            }
        }
    }

    /// Records that a registration was written: its agent is now the holder, and was heard at that time.
    pub fn commit_registration(
        &mut self,
        record: DeviceRecord,
        revision: Revision,
        now: Moment,
        wall: Timestamp,
    ) {
        let previous = self.devices.remove(&record.id);
        let has_sent_heartbeats = previous
            .as_ref()
            .is_some_and(|entry| entry.has_sent_heartbeats);
        let (heard, rival) = match previous {
            Some(entry) if entry.record.boot == record.boot => {
                (entry.heard.registered(now, wall), entry.rival)
            }
            _ => (
                Heard::Alive {
                    at: now,
                    wall,
                    sequence: 0,
                },
                None,
            ),
        };
        self.devices.insert(
            record.id.clone(),
            Entry {
                record: Arc::new(record),
                revision,
                known_since: now,
                heard,
                has_sent_heartbeats,
                rival,
            },
        );
    }

    /// Uses a record that someone else wrote to the registry. This does not count as hearing the device.
    pub fn adopt(&mut self, record: DeviceRecord, revision: Revision, now: Moment) {
        match self.devices.get_mut(&record.id) {
            // A late answer of a replica can be outdated; only newer ones count.
            Some(entry) if revision <= entry.revision => {}
            Some(entry) => {
                if entry.record.boot != record.boot {
                    entry.heard = Heard::NotSince(now);
                }
                entry.record = Arc::new(record);
                entry.revision = revision;
            }
            None => {
                self.devices.insert(
                    record.id.clone(),
                    Entry {
                        record: Arc::new(record),
                        revision,
                        known_since: now,
                        heard: Heard::NotSince(now),
                        has_sent_heartbeats: true,
                        rival: None,
                    },
                );
            }
        }
    }

    /// Updates the state from the complete content of the registry, from a listing that started at `listed_from`.
    /// Devices that are not in it are removed, unless they registered after that time. Returns the number of removed
    /// devices.
    pub fn resync(
        &mut self,
        records: Vec<(DeviceRecord, Revision)>,
        listed_from: Moment,
        now: Moment,
    ) -> usize {
        let listed: BTreeSet<DeviceId> = records.iter().map(|(r, _)| r.id.clone()).collect();
        for (record, revision) in records {
            self.adopt(record, revision, now);
        }
        let before = self.devices.len();
        self.devices
            .retain(|id, entry| listed.contains(id) || entry.known_since >= listed_from);
        before - self.devices.len()
    }

    /// Handles a heartbeat of `device` that was received at `now`.
    ///
    /// Heartbeats of the holder show that it is running. A heartbeat of another boot means that the registry is
    /// outdated (if the holder is silent; the sender is asked to register) or that there are two agents (if the holder
    /// is running; both are flagged). A number that decreases within a boot also means that there are two agents,
    /// because a copy of a running machine has the same boot id.
    pub fn heartbeat(
        &mut self,
        device: &DeviceId,
        heartbeat: &Heartbeat,
        now: Moment,
        wall: Timestamp,
    ) -> HeartbeatEffect {
        let Some(entry) = self.devices.get_mut(device) else {
            return if heartbeat.leaving {
                HeartbeatEffect::Repeated
            } else {
                HeartbeatEffect::AskToRegister
            };
        };
        if heartbeat.boot != entry.record.boot {
            if heartbeat.leaving {
                entry.rival = None;
                return HeartbeatEffect::Repeated;
            }
            if entry.is_alive(now) {
                return entry.flag(heartbeat.boot.clone(), now);
            }
            return HeartbeatEffect::AskToRegister;
        }
        match heartbeat.sequence.cmp(&entry.heard.sequence()) {
            std::cmp::Ordering::Less if entry.is_alive(now) => {
                return entry.flag(heartbeat.boot.clone(), now);
            }
            std::cmp::Ordering::Equal => return HeartbeatEffect::Repeated,
            _ => {}
        }
        let sequence = heartbeat.sequence;
        entry.has_sent_heartbeats = true;
        if heartbeat.leaving {
            entry.heard = Heard::Left {
                at: now,
                wall,
                sequence,
            };
            HeartbeatEffect::Left
        } else {
            entry.heard = Heard::Alive {
                at: now,
                wall,
                sequence,
            };
            HeartbeatEffect::Alive
        }
    }

    /// The devices at `now`, sorted by id. `wall` is the same time on the wall clock. It is used to show when a device
    /// was last heard, while `now` determines the presence.
    pub fn view(&self, now: Moment, wall: Timestamp) -> Vec<FleetDevice> {
        let views = self.devices.values().map(|entry| entry.view(now, wall));
        views.collect()
    }

    /// The record of a device in the registry.
    pub fn record(&self, device: &DeviceId) -> Option<&DeviceRecord> {
        self.devices.get(device).map(|entry| &*entry.record)
    }

    /// The number of devices.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Returns true if there are no devices.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

impl Entry {
    /// Returns true if the holder counts as running.
    fn is_alive(&self, now: Moment) -> bool {
        match self.heard {
            Heard::Alive { at, .. } => now.since(at) < stale_after(self.record.interval),
            Heard::NotSince(_) | Heard::Left { .. } => false,
        }
    }

    fn flag(&mut self, boot: BootId, now: Moment) -> HeartbeatEffect {
        let known = self.rival_at(now).is_some_and(|known| *known == boot);
        self.rival = Some(Rival {
            boot,
            heard_at: now,
        });
        HeartbeatEffect::Duplicate {
            holder: self.record.boot.clone(),
            known,
        }
    }

    /// The rival, unless it has been silent for long enough to be gone.
    fn rival_at(&self, now: Moment) -> Option<&BootId> {
        let rival = self.rival.as_ref()?;
        (now.since(rival.heard_at) < stale_after(self.record.interval)).then_some(&rival.boot)
    }

    fn view(&self, now: Moment, wall: Timestamp) -> FleetDevice {
        let interval = self.record.interval;
        let seen = |at: Timestamp| LastSeen {
            // The clock may have been set back in the meantime.
            ago: wall.duration_since(at).try_into().unwrap_or_default(),
            at,
        };
        let (seen_presence, last_seen) = match self.heard {
            Heard::NotSince(start) => {
                let gone = now.since(start) >= offline_after(interval);
                (gone.then_some(Presence::Offline), None)
            }
            Heard::Alive { at, wall, .. } => {
                (Some(presence(interval, now.since(at))), Some(seen(wall)))
            }
            Heard::Left { wall, .. } => (Some(Presence::Offline), Some(seen(wall))),
        };
        FleetDevice {
            record: Arc::clone(&self.record),
            presence: seen_presence,
            last_seen,
            rival: self.rival_at(now).cloned(),
        }
    }
}

impl Heard {
    fn sequence(self) -> u64 {
        match self {
            Self::NotSince(_) => 0,
            Self::Alive { sequence, .. } | Self::Left { sequence, .. } => sequence,
        }
    }

    /// The same boot registered again: it is running, and the number of its last heartbeat does not change.
    fn registered(self, at: Moment, wall: Timestamp) -> Self {
        Self::Alive {
            at,
            wall,
            sequence: self.sequence(),
        }
    }
}

mod forget;

#[cfg(test)]
mod tests;
