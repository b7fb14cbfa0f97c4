//! Whether a device is online, based on its heartbeat interval and the time since it was last heard.

use std::fmt;
use std::time::Duration;

use harmony_reconciler_contracts::HeartbeatInterval;

/// Whether a device is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// It was heard within [`stale_after`] of its interval.
    Online,
    /// It has missed a few heartbeats, for example because of a short network failure.
    Stale,
    /// It signed off, or has not been heard for [`offline_after`] of its interval.
    Offline,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` respects the column width of tables.
        f.pad(match self {
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
        })
    }
}

/// The silence after which a device is stale: two missed heartbeats, and half an interval for jitter and delay. 150 s
/// with the default interval of a minute.
pub fn stale_after(interval: HeartbeatInterval) -> Duration {
    interval.as_duration() * 5 / 2
}

/// The silence after which a device is offline: five missed heartbeats. 300 s with the default interval of a minute.
pub fn offline_after(interval: HeartbeatInterval) -> Duration {
    interval.as_duration() * 5
}

/// The presence of a device after this silence.
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
