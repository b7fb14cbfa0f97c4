//! Which devices are forgotten: those that nobody has heard of for a long time.
//!
//! Without it whoever may register would fill the registry for good, with names that no device has. A device that is
//! forgotten and comes back loses nothing: its heartbeat is answered with the request to register.

use std::time::Duration;

use harmony_reconciler_contracts::DeviceId;

use super::{Entry, FleetState, Heard};
use crate::presence::offline_after;
use crate::{Moment, Revision};

impl FleetState {
    /// How long a device may be silent, unless the operator is told otherwise: 30 days.
    pub const FORGET_AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    /// How long one that registered and never sent a heartbeat may be silent: an hour. Agents send their first heartbeat
    /// within an interval.
    pub const FORGET_UNHEARD_AFTER: Duration = Duration::from_secs(60 * 60);
    /// How many are forgotten at once, so that other work goes on in between.
    pub const FORGET_AT_ONCE: usize = 500;

    /// The devices to forget, with the revisions that the registry holds of them. None of them is alive, stale or not yet
    /// judged. The time counts while the operator listens, and after a start of the operator it counts anew.
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

    /// The registry no longer holds this revision of a device. One that registered again since then stays.
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
        // Whatever is configured, one that is not offline yet is not forgotten.
        let limit = limit.max(offline_after(self.record.interval));
        self.rival_at(now).is_none() && now.since(since) >= limit
    }
}
