//! Whether a device is there: a function of how often it promised to speak and how long it has been silent.

use std::fmt;
use std::time::Duration;

use harmony_reconciler_contracts::HeartbeatInterval;

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// It spoke within [`stale_after`] of its interval.
    Online,
    /// It has missed heartbeats, but not enough to give it up: a short loss of the network looks like this.
    Stale,
    /// It said that it leaves, or it has been silent for [`offline_after`] of its interval.
    Offline,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` honours the column width of tables.
        f.pad(match self {
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
        })
    }
}

/// Silence after which a device is stale: two heartbeats missed, and half an interval for jitter and
/// delay. With the nominal minute: 150 s.
pub fn stale_after(interval: HeartbeatInterval) -> Duration {
    interval.as_duration() * 5 / 2
}

/// Silence after which a device is offline: five heartbeats missed. With the nominal minute: 300 s.
pub fn offline_after(interval: HeartbeatInterval) -> Duration {
    interval.as_duration() * 5
}

/// The presence of a device that has been silent for this long.
pub fn presence(interval: HeartbeatInterval, silence: Duration) -> Presence {
    if silence < stale_after(interval) {
        Presence::Online
    } else if silence < offline_after(interval) {
        Presence::Stale
    } else {
        Presence::Offline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nominal_minute() {
        let at = |seconds| presence(HeartbeatInterval::NOMINAL, Duration::from_secs(seconds));
        assert_eq!(at(0), Presence::Online);
        assert_eq!(at(149), Presence::Online);
        assert_eq!(at(150), Presence::Stale);
        assert_eq!(at(299), Presence::Stale);
        assert_eq!(at(300), Presence::Offline);
    }

    proptest! {
        #[test]
        fn silence_never_makes_a_device_more_present(seconds in 1_u32..=3600, a in 0_u64..100_000, b in 0_u64..100_000) {
            let interval = HeartbeatInterval::from_seconds(seconds).unwrap();
            let (short, long) = (a.min(b), a.max(b));
            prop_assert!(
                presence(interval, Duration::from_secs(short)) <= presence(interval, Duration::from_secs(long))
            );
        }

        #[test]
        fn two_lost_heartbeats_in_a_row_are_forgiven(seconds in 1_u32..=3600) {
            let interval = HeartbeatInterval::from_seconds(seconds).unwrap();
            prop_assert_eq!(presence(interval, interval.as_duration() * 2), Presence::Online);
        }
    }
}
