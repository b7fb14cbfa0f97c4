//! A point on a monotonic clock.

use std::time::Duration;

/// A reading of one process's monotonic clock, as the time since that process started.
///
/// Readings of one process can be compared and subtracted; across processes they mean nothing, so a
/// moment is never stored or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that lies this long after the start of the process.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
