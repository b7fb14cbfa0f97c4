//! Two operators of the same tenant detect each other.
//!
//! The registry allows one writer. A second operator does no lasting damage (each write contains the expected
//! revision), but it is a mistake. So it is reported in the log, and as a warning in the list of devices.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use harmony_fleet_adapters_nats::NatsOperatorLink;
use harmony_reconciler_contracts::{Heartbeat, SchemaVersion};

use crate::Fleet;
use crate::subscription::lasting;

/// The time between two announcements.
const INTERVAL: Duration = Duration::from_secs(10);

/// Announces this operator and listens for others.
pub async fn keep_watch(fleet: &Fleet, link: &NatsOperatorLink) {
    tokio::join!(listen(fleet, link), announce(fleet, link));
}

/// Tells others that this operator is stopping.
pub async fn say_goodbye(fleet: &Fleet, link: &NatsOperatorLink) {
    link.announce(&announcement(fleet, u64::MAX, true)).await;
}

async fn announce(fleet: &Fleet, link: &NatsOperatorLink) {
    for sequence in 1.. {
        link.announce(&announcement(fleet, sequence, false)).await;
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn listen(fleet: &Fleet, link: &NatsOperatorLink) {
    let mut announcements = pin!(lasting("announcements of operators", || link.announcements()));
    while let Some(heard) = announcements.next().await {
        hear(fleet, link, heard).await;
    }
}

async fn hear(fleet: &Fleet, link: &NatsOperatorLink, heard: Heartbeat) {
    if heard.boot == fleet.boot {
        return;
    }
    if heard.leaving {
        fleet.other_operator_left(&heard.boot);
        return;
    }
    let other = heard.boot.clone();
    if fleet.heard_other_operator(heard.boot) {
        tracing::warn!(tenant = %fleet.tenant, this = %fleet.boot, %other, "another operator is running for this tenant; stop one of them");
        // Announce immediately, so that the new operator detects this one without waiting for the next interval.
        link.announce(&announcement(fleet, 0, false)).await;
    }
}

fn announcement(fleet: &Fleet, sequence: u64, leaving: bool) -> Heartbeat {
    Heartbeat {
        version: SchemaVersion::CURRENT,
        boot: fleet.boot.clone(),
        sequence,
        leaving,
    }
}
