//! All that an operator knows about its devices, in memory.
//!
//! Fed from the registry at start and on each resync, from registrations and from heartbeats. No
//! I/O: the operator's loops call in with what happened, and do what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use harmony_reconciler_contracts::{BootId, DeviceId, Heartbeat, Registration};
use jiff::Timestamp;

use crate::presence::{Presence, offline_after, presence, stale_after};
use crate::registration::{Decision, Holder, WriteReason, decide};
use crate::{DeviceRecord, Expected, FleetDevice, LastSeen, Moment, Revision};

/// The devices of one tenant.
#[derive(Debug, Default)]
pub struct FleetState {
    devices: BTreeMap<DeviceId, Entry>,
    newcomers: Newcomers,
}

/// How many new devices are taken in: a burst, then a steady rate. Devices that are known are not counted.
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
    /// Takes in one more, if the rate allows it.
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
    /// Shared with what is shown, so that looking at all devices copies none of them.
    record: Arc<DeviceRecord>,
    revision: Revision,
    /// When this record came into memory: a resync that began before must not remove it.
    known_since: Moment,
    heard: Heard,
    /// Whether it ever sent a heartbeat. One that only registered may be a name that no device has.
    has_sent_heartbeats: bool,
    rival: Option<Rival>,
}

/// What was heard of the holder of a device id.
#[derive(Debug, Clone, Copy)]
enum Heard {
    /// Nothing yet, and the operator listens since then.
    NotSince(Moment),
    /// A sign of life.
    Alive {
        at: Moment,
        wall: Timestamp,
        /// Number of the newest heartbeat of this boot; 0 when only the registration was heard.
        sequence: u64,
    },
    /// Its farewell.
    Left {
        at: Moment,
        wall: Timestamp,
        sequence: u64,
    },
}

/// Another run that is alive under the same device id.
#[derive(Debug)]
struct Rival {
    boot: BootId,
    heard_at: Moment,
}

/// What the operator has to do about a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationStep {
    /// Nothing: say yes.
    Accept,
    /// Write the record; when that succeeded, call [`FleetState::commit_registration`] and say yes.
    Write {
        /// What to write.
        record: DeviceRecord,
        /// What the registry should hold.
        expected: Expected,
        /// Why. For the log.
        reason: WriteReason,
    },
    /// Say no: there are as many devices as there may be, or too many new ones ask at once.
    TooMany,
    /// Say no: another run holds the id and is alive.
    Refuse {
        /// The holder.
        holder: BootId,
    },
}

/// What a heartbeat means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatEffect {
    /// A sign of life of the holder.
    Alive,
    /// The holder's farewell.
    Left,
    /// Heard before; ignored.
    Repeated,
    /// The registry does not hold this run: ask it to register.
    AskToRegister,
    /// Another run than the holder sends heartbeats while the holder is alive. Both are flagged.
    Duplicate {
        /// The run that holds the id.
        holder: BootId,
        /// Whether this run was flagged already: log only the first time.
        known: bool,
    },
}

impl FleetState {
    /// Most devices of a tenant: whoever may register cannot fill the operator's memory and the registry.
    pub const MAX_DEVICES: usize = 20_000;
    /// New devices that are taken in at once.
    pub const NEW_DEVICES_AT_ONCE: u32 = 1_000;
    /// New devices that are taken in per second after that.
    pub const NEW_DEVICES_PER_SECOND: u32 = 20;

    /// Decides about a registration, heard at `now`. `wall` is for the record.
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

    /// A registration was written: its device is now the holder, and was heard.
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

    /// The registry holds this record, written by somebody else: take it over. Nothing was heard by it.
    pub fn adopt(&mut self, record: DeviceRecord, revision: Revision, now: Moment) {
        match self.devices.get_mut(&record.id) {
            // A late answer of a replica may be older than what is known; only newer ones count.
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

    /// The registry's whole content, from a listing that began at `listed_from`. Devices that it does not
    /// hold are forgotten, except those registered since then. Returns how many were forgotten.
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

    /// A heartbeat of `device` was heard at `now`.
    ///
    /// The holder's heartbeats count as signs of life. One of another run means: the registry is behind
    /// (the holder is silent, so the sender is asked to register), or there are two (the holder is
    /// alive, so both are flagged). A number that goes backwards within one boot is two as well: a copy
    /// of a running machine shares even the boot id.
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

    /// All devices as they look at `now`, in the order of their ids. `wall` is the same moment for people: by it
    /// the age of the last sign of life is shown, by `now` presence is judged.
    pub fn view(&self, now: Moment, wall: Timestamp) -> Vec<FleetDevice> {
        let views = self.devices.values().map(|entry| entry.view(now, wall));
        views.collect()
    }

    /// What the registry holds of a device.
    pub fn record(&self, device: &DeviceId) -> Option<&DeviceRecord> {
        self.devices.get(device).map(|entry| &*entry.record)
    }

    /// How many devices there are.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

impl Entry {
    /// Whether the holder must be taken for running.
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
            // The clock may have been set back since.
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

    /// The same run registered: a sign of life that leaves the count of its heartbeats as it is.
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
