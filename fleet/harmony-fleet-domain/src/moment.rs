//! A point in time on a monotonic clock.

use std::time::Duration;

/// A reading of the monotonic clock of a process: how long it has been able to receive messages since it started.
///
/// The clock may stand still while the process is disconnected, so that peers do not seem silent during that time.
///
/// Readings of the same process can be compared and subtracted. They have no meaning in another process, so a moment is
/// never stored or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment at this time after the start of the clock.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time since `earlier`; zero if it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
