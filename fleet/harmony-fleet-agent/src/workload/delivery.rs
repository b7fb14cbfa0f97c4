//! Brings desired states to the reconciler, and what it tells to the operator.

use std::time::Duration;

use harmony_fleet_adapters_nats::Backoff;
use harmony_fleet_domain::{AgentLink, ErrorChain, WorkloadLink};
use harmony_reconciler_contracts::{BootId, DesiredState, ObservedState, SchemaVersion};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use super::reconciler::Observed;
use crate::random::{AFTER_RECONNECT, at_random, sleep_at_random};

/// The time between attempts to read or to store.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));

/// The desired state is read again after this time, shifted randomly by half of it, in case a push was missed.
const RESYNC: Duration = Duration::from_secs(600);

/// What happens within this time is told together.
const TOGETHER: Duration = Duration::from_millis(150);

/// Passes on each desired state that is pushed, and the stored one after each connect and from time to time. Returns when
/// nobody takes them any more.
pub async fn keep_receiving<L: AgentLink + WorkloadLink>(
    link: &L,
    states: &mpsc::Sender<DesiredState>,
) {
    let mut attempt = 0;
    link.came_up().await;
    loop {
        let wait = match link.desired().await {
            Ok(Some(state)) => {
                attempt = 0;
                if states.send(state).await.is_err() {
                    return;
                }
                at_random(RESYNC, 0.5)
            }
            Ok(None) => {
                attempt = 0;
                at_random(RESYNC, 0.5)
            }
            Err(error) => {
                attempt += 1;
                tracing::debug!(error = %ErrorChain(&error), "cannot read the desired state; trying again");
                RETRY.wait(attempt)
            }
        };
        if pass_on_pushed(link, states, wait).await.is_none() {
            return;
        }
    }
}

/// Passes on what is pushed, until it is time to read again.
async fn pass_on_pushed<L: AgentLink + WorkloadLink>(
    link: &L,
    states: &mpsc::Sender<DesiredState>,
    wait: Duration,
) -> Option<()> {
    let read_again = async {
        tokio::select! {
            () = sleep(wait) => {}
            () = link.reconnected() => sleep_at_random(AFTER_RECONNECT).await,
        }
    };
    let mut read_again = std::pin::pin!(read_again);
    loop {
        tokio::select! {
            () = &mut read_again => return Some(()),
            state = link.pushed() => states.send(state).await.ok()?,
        }
    }
}

/// Tells the operator what runs when it changes, and when `again` asks for it. Returns when nothing can change any more.
pub async fn keep_reporting<L: AgentLink + WorkloadLink>(
    link: &L,
    boot: &BootId,
    mut observed: watch::Receiver<Observed>,
    again: &Notify,
) {
    let mut sequence = 0;
    loop {
        tokio::select! {
            changed = observed.changed() => if changed.is_err() { return },
            () = again.notified() => sleep_at_random(AFTER_RECONNECT).await,
        }
        sleep(TOGETHER).await;
        for attempt in 1.. {
            sequence += 1;
            let state = observed.borrow_and_update().clone();
            match link.report(&tell(boot, sequence, state)).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::debug!(error = %ErrorChain(&error), "cannot store what runs; trying again");
                }
            }
            tokio::select! {
                () = sleep(RETRY.wait(attempt)) => {}
                () = link.reconnected() => sleep_at_random(AFTER_RECONNECT).await,
            }
        }
    }
}

fn tell(boot: &BootId, sequence: u64, observed: Observed) -> ObservedState {
    ObservedState {
        version: SchemaVersion::CURRENT,
        boot: boot.clone(),
        sequence,
        generation: observed.generation,
        deployments: observed.deployments,
    }
}
