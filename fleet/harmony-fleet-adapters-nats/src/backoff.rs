//! The time to wait before the next attempt.

use std::time::Duration;

/// Exponential backoff with full jitter: the time is random between [`Backoff::FLOOR`] and a bound that doubles with
/// each attempt up to a cap. Full jitter distributes the reconnects of thousands of devices that lost the same server
/// (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// The minimum, so that failing attempts are never repeated in a tight loop.
    pub const FLOOR: Duration = Duration::from_millis(50);

    /// The first and the maximum bound.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The random time to wait before attempt number `attempt`, starting with 1.
    pub fn wait(&self, attempt: u32) -> Duration {
        self.wait_at(attempt, fastrand::f64())
    }

    /// The time for a given random number between 0 and 1. Pure.
    fn wait_at(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        bound.mul_f64(random.clamp(0.0, 1.0)).max(Self::FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<_> = (1..9)
            .map(|n| BACKOFF.wait_at(n, 1.0).as_millis())
            .collect();
        assert_eq!(bounds, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
    }

    proptest! {
        #[test]
        fn stays_between_floor_and_cap(attempt in any::<u32>(), random in any::<f64>()) {
            let random = if random.is_nan() { 0.5 } else { random };
            let wait = BACKOFF.wait_at(attempt, random);
            prop_assert!((Backoff::FLOOR..=Duration::from_secs(15)).contains(&wait));
        }
    }
}
