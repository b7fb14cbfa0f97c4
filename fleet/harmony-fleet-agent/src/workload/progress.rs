//! What this run of the agent has tried and seen of a deployment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harmony_fleet_domain::{LiveContainer, LiveState};
use harmony_reconciler_contracts::{
    Cause, ContainerName, ContentHash, FailureReason, PinnedImage, Reason,
};
use tokio::time::Instant;

/// The delays between attempts at something that failed for a reason that can go away.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// A container without a health check works if it has run for this long.
pub const SETTLE: Duration = Duration::from_secs(10);

/// A container that has run for this long is restarted without delay when it ends.
const STEADY: Duration = Duration::from_secs(600);

/// What was tried and seen of one content of a deployment. Another content starts anew.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The content that this is about.
    pub content: Option<ContentHash>,
    /// The images that are on the device.
    pub pulled: BTreeSet<PinnedImage>,
    /// The containers by name.
    pub containers: BTreeMap<ContainerName, ContainerProgress>,
    /// The last failure that can go away, until something succeeds.
    pub trouble: Option<Trouble>,
}

/// A failure that can go away.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub cause: Cause,
    pub attempts: u32,
    /// When to try again.
    pub retry_at: Instant,
}

/// What was seen of a container.
#[derive(Debug, Clone, Default)]
pub struct ContainerProgress {
    /// Since when it runs, as far as this agent knows; none if it does not run.
    pub running_since: Option<Instant>,
    /// When this agent began to start it.
    pub begun: Option<Instant>,
    /// How long it ran, if it has ended.
    pub lived: Option<Duration>,
    /// Whether this agent started it, so that its end is not the end of an earlier run of the device.
    pub started_by_us: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// How often in a row, for the delay.
    pub restarts_in_a_row: u32,
    /// When it may be started again.
    pub restart_at: Option<Instant>,
    /// The result of the health check; none before the first one.
    pub healthy: Option<bool>,
    /// How many checks failed in a row.
    pub failed_checks: u32,
    /// When the last check ended.
    pub checked_at: Option<Instant>,
    /// Why it had to be started again, until it has worked for a while.
    pub cause: Option<Cause>,
    /// The last lines of its output when it failed.
    pub log: Vec<Reason>,
}

impl Progress {
    /// Starts anew if this is another content.
    pub fn follow(&mut self, content: Option<&ContentHash>) {
        if self.content.as_ref() != content {
            *self = Self {
                content: content.cloned(),
                ..Self::default()
            };
        }
    }

    /// Takes in what runs now.
    pub fn observe<'a>(&mut self, live: impl IntoIterator<Item = &'a LiveContainer>, now: Instant) {
        for container in live {
            let known = self.container(&container.name);
            match container.state {
                LiveState::Running => {
                    known.running_since.get_or_insert(now);
                }
                LiveState::Ended { .. } | LiveState::Created | LiveState::Paused => {
                    if let Some(since) = known.running_since.take() {
                        // Podman answers some time after the start, and the end is noticed later. Within that, the
                        // clock of the device says when both were.
                        let at_least = now.saturating_duration_since(since);
                        let at_most = known
                            .begun
                            .map_or(at_least, |begun| now.saturating_duration_since(begun));
                        let told = container.lived.unwrap_or(at_least);
                        let lived = told.clamp(at_least, at_most.max(at_least));
                        known.lived = Some(lived);
                        if lived >= STEADY {
                            known.restarts_in_a_row = 0;
                        }
                        known.restart_at = Some(now + delay(known.restarts_in_a_row));
                    }
                }
            }
        }
    }

    /// Forgets earlier failures of containers that work again.
    pub fn recover(&mut self, now: Instant) {
        for container in self.containers.values_mut() {
            let is_steady = container
                .running_since
                .is_some_and(|since| now >= since + SETTLE);
            if is_steady && container.healthy != Some(false) {
                container.cause = None;
                container.log.clear();
            }
        }
    }

    /// What is known of a container.
    pub fn container(&mut self, name: &ContainerName) -> &mut ContainerProgress {
        self.containers.entry(name.clone()).or_default()
    }

    /// Something failed for a reason that can go away.
    pub fn failed_for_now(&mut self, cause: Cause, now: Instant) {
        let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts) + 1;
        self.trouble = Some(Trouble {
            cause,
            attempts,
            retry_at: now + delay(attempts),
        });
    }

    /// The time to wait for, if something failed and may be tried again later.
    pub fn retry_at(&self, now: Instant) -> Option<Instant> {
        let at = self.trouble.as_ref()?.retry_at;
        (at > now).then_some(at)
    }
}

impl ContainerProgress {
    /// It was created and started.
    pub fn was_run(&mut self, begun: Instant, now: Instant) {
        self.was_started(now);
        self.begun = Some(begun);
        self.started_by_us = true;
    }

    /// It was started again.
    pub fn was_restarted(&mut self, begun: Instant, now: Instant) {
        self.was_started(now);
        self.begun = Some(begun);
        self.restarts += 1;
        self.restarts_in_a_row += 1;
        self.started_by_us = true;
    }

    /// A health check failed, or could not be made.
    pub fn failed_check(&mut self, name: &ContainerName, words: &str) {
        self.healthy = Some(false);
        self.failed_checks += 1;
        self.cause = Some(Cause {
            reason: FailureReason::Unhealthy,
            detail: words.into(),
            container: Some(name.clone()),
        });
    }

    /// It was removed because it does not work, and is to be created again.
    pub fn is_replaced(&mut self, now: Instant) {
        self.was_started(now);
        self.running_since = None;
        self.restart_at = Some(now + delay(self.restarts_in_a_row));
        self.restarts += 1;
        self.restarts_in_a_row += 1;
    }

    fn was_started(&mut self, now: Instant) {
        self.running_since = Some(now);
        self.begun = None;
        self.lived = None;
        self.restart_at = None;
        self.healthy = None;
        self.failed_checks = 0;
        self.checked_at = None;
    }
}

/// 0, then doubled from the first delay to the longest.
fn delay(attempts: u32) -> Duration {
    match attempts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY
            .saturating_mul(1 << doublings.min(20))
            .min(LONGEST_DELAY),
    }
}
