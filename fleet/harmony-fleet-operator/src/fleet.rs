//! The state that the loops of the operator share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harmony_fleet_adapters_nats::Backoff;
use harmony_fleet_domain::{Dispatch, FleetDevice, FleetState, Moment};
use harmony_reconciler_contracts::{BootId, TenantId};
use jiff::Timestamp;

/// The devices in memory, the operator's clock, and the other operator if there is one.
///
/// Locks are held only for a few lines, without waiting in between.
#[derive(Debug)]
pub struct Fleet {
    pub tenant: TenantId,
    /// The boot id of the operator.
    pub boot: BootId,
    clock: Mutex<Clock>,
    state: Mutex<FleetState>,
    dispatch: Mutex<Dispatch>,
    other_operator: Mutex<Option<(BootId, Moment)>>,
    /// What is wrong with NATS.
    problems: Mutex<Vec<String>>,
    /// The number of desired states that were written.
    writes: AtomicU64,
    /// By [`Step`].
    failures: [AtomicU64; Step::ALL.len()],
}

/// A step that is repeated until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading the registry.
    Load,
    /// Writing a registration.
    Register,
    /// Writing devices to Kubernetes.
    Reflect,
    /// Removing a silent device.
    Forget,
    /// Telling devices what to run.
    Dispatch,
}

impl Step {
    pub const ALL: [Self; 5] = [
        Self::Load,
        Self::Register,
        Self::Reflect,
        Self::Forget,
        Self::Dispatch,
    ];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Register => "register",
            Self::Reflect => "reflect",
            Self::Forget => "forget",
            Self::Dispatch => "dispatch",
        }
    }
}

/// The time during which the operator could receive messages.
#[derive(Debug, Default)]
struct Clock {
    /// The total up to the last disconnect.
    heard_for: Duration,
    /// The start of the current connection; `None` while disconnected.
    runs_since: Option<Instant>,
}

/// The time between attempts: short at first and never long, because there is only one operator.
pub(crate) const RETRY: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// The silence after which another operator counts as gone: two and a half of its announcement intervals.
const OTHER_OPERATOR_GONE: Duration = Duration::from_secs(25);

impl Fleet {
    /// An empty fleet with a new boot id.
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            boot: BootId::from_random(fastrand::u64(..)),
            clock: Mutex::default(),
            state: Mutex::default(),
            dispatch: Mutex::default(),
            other_operator: Mutex::default(),
            problems: Mutex::default(),
            writes: AtomicU64::default(),
            failures: Default::default(),
        }
    }

    /// A step failed.
    pub fn failed(&self, step: Step) {
        self.failures[step as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often a step failed.
    pub fn failures(&self, step: Step) -> u64 {
        self.failures[step as usize].load(Ordering::Relaxed)
    }

    /// The current time on the operator's clock, which stands still while it is disconnected.
    pub fn now(&self) -> Moment {
        let clock = self.clock();
        let running = clock
            .runs_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        Moment::after_start(clock.heard_for + running)
    }

    /// Starts the clock: devices can be heard from now on.
    pub fn resume_clock(&self) {
        self.clock().runs_since.get_or_insert_with(Instant::now);
    }

    /// Stops the clock: devices cannot be heard, so their silence has no meaning.
    pub fn stop_clock(&self) {
        let mut clock = self.clock();
        if let Some(since) = clock.runs_since.take() {
            clock.heard_for += since.elapsed();
        }
    }

    /// The devices, locked.
    pub fn state(&self) -> MutexGuard<'_, FleetState> {
        // A panic ends the process (release builds abort), so later steps never see a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the devices should run, locked.
    pub fn dispatch(&self) -> MutexGuard<'_, Dispatch> {
        self.dispatch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A desired state was written.
    pub fn counted_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// How many desired states were written.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Records what is wrong with NATS, and logs what is new.
    pub fn set_problems(&self, problems: Vec<String>) {
        let mut known = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems.iter().filter(|problem| !known.contains(problem)) {
            tracing::error!(problem, "NATS is not set up as the fleet needs it");
        }
        *known = problems;
    }

    /// What is wrong with NATS, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let known = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// The current view of all devices.
    pub fn view(&self) -> Vec<FleetDevice> {
        let now = self.now();
        self.state().view(now, Timestamp::now())
    }

    /// Another operator of the tenant was heard. Returns true if this is new.
    pub fn heard_other_operator(&self, boot: BootId) -> bool {
        let news = self.other_operator().as_ref() != Some(&boot);
        *self.other() = Some((boot, self.now()));
        news
    }

    /// Another operator of the tenant is stopping.
    pub fn other_operator_left(&self, boot: &BootId) {
        let mut other = self.other();
        if other.as_ref().is_some_and(|(known, _)| known == boot) {
            *other = None;
        }
    }

    /// The other operator of the tenant that is currently running.
    pub fn other_operator(&self) -> Option<BootId> {
        let now = self.now();
        self.other()
            .as_ref()
            .filter(|(_, heard)| now.since(*heard) < OTHER_OPERATOR_GONE)
            .map(|(boot, _)| boot.clone())
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn other(&self) -> MutexGuard<'_, Option<(BootId, Moment)>> {
        self.other_operator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
