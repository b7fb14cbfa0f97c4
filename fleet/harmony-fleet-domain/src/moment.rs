//! A point on a monotonic clock.

use std::time::Duration;

/// A reading of one process's monotonic clock: for how long it has been able to hear since it started.
///
/// While the process is cut off from those it listens to, the clock may stand still: their silence is not
/// theirs then.
///
/// Readings of one process can be compared and subtracted; across processes they mean nothing, so a
/// moment is never stored or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that lies this long after the start of the clock.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
