//! What the loops of the operator share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harmony_fleet_domain::{FleetDevice, FleetState, Moment};
use harmony_reconciler_contracts::{BootId, TenantId};

/// The devices in memory, the clock they are judged by, and the other operator if there is one.
///
/// Locks are held for a few lines without waiting in between.
#[derive(Debug)]
pub struct Fleet {
    /// Whose devices.
    pub tenant: TenantId,
    /// This run of the operator.
    pub boot: BootId,
    started: Instant,
    state: Mutex<FleetState>,
    other_operator: Mutex<Option<(BootId, Moment)>>,
}

/// Silence after which another operator is taken to be gone: two and a half of its announcements.
const OTHER_OPERATOR_GONE: Duration = Duration::from_secs(25);

impl Fleet {
    /// An empty fleet, and a fresh boot id.
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            boot: BootId::from_random(fastrand::u64(..)),
            started: Instant::now(),
            state: Mutex::default(),
            other_operator: Mutex::default(),
        }
    }

    /// This moment on the operator's clock.
    pub fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    /// The devices, locked.
    pub fn state(&self) -> MutexGuard<'_, FleetState> {
        // A panic ends the process (release builds abort), so a poisoned lock is never seen by a later step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All devices as they look now.
    pub fn view(&self) -> Vec<FleetDevice> {
        let now = self.now();
        self.state().view(now)
    }

    /// Another operator of the tenant was heard. Says whether that is news.
    pub fn heard_other_operator(&self, boot: BootId) -> bool {
        let news = self.other_operator().as_ref() != Some(&boot);
        *self.other() = Some((boot, self.now()));
        news
    }

    /// Another operator of the tenant said that it stops.
    pub fn other_operator_left(&self, boot: &BootId) {
        let mut other = self.other();
        if other.as_ref().is_some_and(|(known, _)| known == boot) {
            *other = None;
        }
    }

    /// The other operator of the tenant that runs at the moment.
    pub fn other_operator(&self) -> Option<BootId> {
        let now = self.now();
        self.other()
            .as_ref()
            .filter(|(_, heard)| now.since(*heard) < OTHER_OPERATOR_GONE)
            .map(|(boot, _)| boot.clone())
    }

    fn other(&self) -> MutexGuard<'_, Option<(BootId, Moment)>> {
        self.other_operator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
