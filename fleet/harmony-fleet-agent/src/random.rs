//! Random times, so that devices that started together do not act together forever.

use std::time::Duration;

/// After a reconnect, devices act at a random time within this limit, because all of them notice it at the same time.
pub(crate) const AFTER_RECONNECT: Duration = Duration::from_secs(2);

/// A duration shifted randomly by up to `part` of itself in either direction.
pub(crate) fn at_random(duration: Duration, part: f64) -> Duration {
    duration.mul_f64(1.0 - part + 2.0 * part * fastrand::f64())
}

/// Sleeps for a random time up to `longest`.
pub(crate) async fn sleep_at_random(longest: Duration) {
    tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
}
