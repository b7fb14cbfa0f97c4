//! Random times, so that devices that started together do not act together forever.

use std::time::Duration;

/// A duration shifted randomly by up to `part` of itself in either direction.
pub(crate) fn at_random(duration: Duration, part: f64) -> Duration {
    duration.mul_f64(1.0 - part + 2.0 * part * fastrand::f64())
}

/// Sleeps for a random time up to `longest`.
pub(crate) async fn sleep_at_random(longest: Duration) {
    tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
}
