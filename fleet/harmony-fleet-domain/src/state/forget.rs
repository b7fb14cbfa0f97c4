//! Decides which devices are removed: those that have been silent for a long time.
//!
//! Otherwise anyone who may register could fill the registry with invented names. A device that returns after it was
//! removed loses nothing: its heartbeat is answered with a request to register.

use std::time::Duration;

use harmony_reconciler_contracts::DeviceId;

use super::{Entry, FleetState, Heard};
use crate::presence::offline_after;
use crate::{Moment, Revision};

impl FleetState {
    /// The default time that a device may be silent: 30 days.
    pub const FORGET_AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    /// The time that a device may be silent if it registered but never sent a heartbeat: one hour. Agents send their first
    /// heartbeat within one interval.
    pub const FORGET_UNHEARD_AFTER: Duration = Duration::from_secs(60 * 60);
    /// The maximum number of devices that are removed at once, so that other work can continue in between.
    pub const FORGET_AT_ONCE: usize = 500;

    /// The devices to remove, with their revisions in the registry. None of them is alive, stale or not yet judged. The
    /// time counts while the operator listens, and starts again when the operator starts.
    pub fn silent_for(&self, limit: Duration, now: Moment) -> Vec<(DeviceId, Revision)> {
        let silent = self
            .devices
            .iter()
            .filter(|(_, entry)| entry.is_silent_for(limit, now));
        silent
            .map(|(id, entry)| (id.clone(), entry.revision))
            .take(Self::FORGET_AT_ONCE)
            .collect()
    }

    /// The registry no longer has this revision of a device. A device that has registered again since then stays.
    pub fn forget(&mut self, device: &DeviceId, revision: Revision) {
        if self
            .devices
            .get(device)
            .is_some_and(|entry| entry.revision == revision)
        {
            self.devices.remove(device);
        }
    }
}

impl Entry {
    fn is_silent_for(&self, limit: Duration, now: Moment) -> bool {
        let since = match self.heard {
            Heard::NotSince(at) | Heard::Alive { at, .. } | Heard::Left { at, .. } => at,
        };
        let limit = if self.has_sent_heartbeats {
            limit
        } else {
            limit.min(FleetState::FORGET_UNHEARD_AFTER)
        };
        // Whatever the setting, a device that is not offline is not removed.
        let limit = limit.max(offline_after(self.record.interval));
        self.rival_at(now).is_none() && now.since(since) >= limit
    }
}
