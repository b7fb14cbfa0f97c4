//! The decision: the next step of one deployment.
//!
//! Everything is decided from what the device runs now, so that an agent that was killed at any point continues. The order
//! is: get all images, remove what runs of another content, run what is missing, and see whether it works. A content that
//! works is remembered; one that does not is remembered as failed, and the one that worked before runs again.

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_fleet_domain::{ContainerId, LiveContainer, LiveState};
use harmony_reconciler_contracts::{
    Cause, Container, ContainerName, ContentHash, DesiredDeployment, FailureReason, Health,
    PinnedImage, ReconcileScore, Restart,
};
use tokio::time::Instant;

use super::memory::Remembered;
use super::progress::{ContainerProgress, Progress, SETTLE};

/// What is known about a deployment.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What is wanted; none if the deployment is to be removed.
    pub wanted: Option<&'a DesiredDeployment>,
    /// What is remembered of it.
    pub known: &'a Remembered,
    /// Its containers on the device.
    pub live: &'a [&'a LiveContainer],
    /// What was tried.
    pub progress: &'a Progress,
    /// Whether an image is being pulled.
    pub pulling: bool,
}

/// The next step of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Stop and remove these containers.
    Remove(Vec<ContainerId>),
    /// Get an image. Other steps may be done meanwhile.
    Pull(PinnedImage),
    /// Create and start this container of the content.
    Run(ContainerName),
    /// Start a container that has ended.
    Start(ContainerName, ContainerId, Option<Cause>),
    /// Run the health check of a container.
    Check(ContainerName, ContainerId, Health),
    /// Replace a container whose health check fails.
    Replace(ContainerName, ContainerId),
    /// The content does not work.
    GiveUp(Cause, Option<ContainerId>),
    /// The content works.
    Works,
    /// Nothing to do until then, or until something changes.
    Wait(Option<Instant>),
    /// The deployment is gone.
    Forget,
}

/// What a deployment should run now.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal<'a> {
    /// The content; none if there is none that can run.
    pub content: Option<&'a DesiredDeployment>,
    /// Why it is not the wanted one.
    pub blocked: Option<Cause>,
}

impl<'a> Goal<'a> {
    /// The wanted content, unless it failed or cannot be understood: then the last one that worked.
    pub fn of(wanted: &'a DesiredDeployment, known: &'a Remembered) -> Self {
        let fall_back = |cause| Self {
            content: known.healthy.as_ref(),
            blocked: Some(cause),
        };
        if let ReconcileScore::Unknown(score) = &wanted.score {
            return fall_back(Cause {
                reason: FailureReason::AgentTooOld,
                detail: score.to_string().into(),
                container: None,
            });
        }
        match &known.failed {
            Some(failed) if failed.hash == wanted.hash => fall_back(failed.cause.clone()),
            _ => Self {
                content: Some(wanted),
                blocked: None,
            },
        }
    }

    /// Whether the device may run something of the deployment that this agent does not understand and did not remember.
    fn leaves_alone(&self) -> bool {
        let too_old = |cause: &Cause| cause.reason == FailureReason::AgentTooOld;
        self.content.is_none() && self.blocked.as_ref().is_some_and(too_old)
    }
}

/// Decides the next step.
pub fn next(view: View<'_>, now: Instant) -> Step {
    let all = || view.live.iter().map(|live| live.id.clone()).collect();
    let Some(wanted) = view.wanted else {
        return if view.live.is_empty() {
            Step::Forget
        } else {
            Step::Remove(all())
        };
    };
    let goal = Goal::of(wanted, view.known);
    let Some(content) = goal.content else {
        return if view.live.is_empty() || goal.leaves_alone() {
            Step::Wait(None)
        } else {
            Step::Remove(all())
        };
    };
    let specs = containers_of(content);
    let (mine, strays): (Vec<&LiveContainer>, Vec<&LiveContainer>) = view
        .live
        .iter()
        .partition(|live| is_of(live, content, &specs));
    let care = || Care::of(view, content, &mine).next(now);
    let is_there = |name: &ContainerName| mine.iter().any(|live| live.name == *name);
    let missing: Vec<_> = specs.iter().filter(|(name, _)| !is_there(name)).collect();
    if missing.is_empty() {
        return if strays.is_empty() {
            care()
        } else {
            Step::Remove(ids(&strays))
        };
    }
    let meanwhile = |until| {
        let old = view.known.healthy.as_ref();
        let step = match old {
            Some(old) if mine.is_empty() => Care::of(view, old, &strays).next(now),
            _ => care(),
        };
        match step {
            Step::Works | Step::GiveUp(..) => Step::Wait(until),
            Step::Wait(at) => Step::Wait(earlier(at, until)),
            step => step,
        }
    };
    if view.pulling {
        return meanwhile(None);
    }
    if let Some(retry_at) = view.progress.retry_at(now) {
        return meanwhile(Some(retry_at));
    }
    let absent = |image: &PinnedImage| !view.progress.pulled.contains(image);
    if let Some((_, spec)) = missing.iter().find(|(_, spec)| absent(&spec.image)) {
        return Step::Pull(spec.image.clone());
    }
    if !strays.is_empty() {
        return Step::Remove(ids(&strays));
    }
    let restart_at = |name: &ContainerName| view.progress.containers.get(name)?.restart_at;
    let due = missing
        .iter()
        .find(|(name, _)| restart_at(name).is_none_or(|at| at <= now));
    match due {
        Some((name, _)) => Step::Run((**name).clone()),
        None => meanwhile(
            missing
                .iter()
                .filter_map(|(name, _)| restart_at(name))
                .min(),
        ),
    }
}

/// The containers of a content.
pub fn containers_of(content: &DesiredDeployment) -> BTreeMap<&ContainerName, &Container> {
    match &content.score {
        ReconcileScore::PodmanV0(podman) => podman.containers.iter().collect(),
        ReconcileScore::Unknown(_) => BTreeMap::new(),
    }
}

/// A container of this content as it was created; somebody may have replaced it by another image.
fn is_of(
    live: &LiveContainer,
    content: &DesiredDeployment,
    specs: &BTreeMap<&ContainerName, &Container>,
) -> bool {
    let is_asked_for = |spec: &&Container| {
        let image = live.image.as_deref();
        image.is_none_or(|digest| digest == spec.image.digest())
    };
    let usable = !matches!(live.state, LiveState::Created | LiveState::Paused);
    live.hash == content.hash && usable && specs.get(&live.name).is_some_and(is_asked_for)
}

fn ids(live: &[&LiveContainer]) -> Vec<ContainerId> {
    live.iter().map(|live| live.id.clone()).collect()
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Looks after the containers of a content: restarts, health, and whether the content works.
struct Care<'a> {
    view: View<'a>,
    content: &'a DesiredDeployment,
    live: Vec<&'a LiveContainer>,
    /// It is not known yet whether the content works.
    settling: bool,
    wake: Option<Instant>,
}

impl<'a> Care<'a> {
    fn of(view: View<'a>, content: &'a DesiredDeployment, live: &[&'a LiveContainer]) -> Self {
        let live = live.iter().copied();
        let of_content = |live: &&LiveContainer| live.hash == content.hash;
        Self {
            view,
            content,
            live: live.filter(of_content).collect(),
            settling: is_settling(view.known, &content.hash),
            wake: None,
        }
    }

    fn next(mut self, now: Instant) -> Step {
        let specs = containers_of(self.content);
        let mut all_work = true;
        for live in std::mem::take(&mut self.live) {
            let Some(spec) = specs.get(&live.name) else {
                continue;
            };
            match self.look_after(live, spec, now) {
                Ok(works) => all_work &= works,
                Err(step) => return step,
            }
        }
        if self.settling && all_work {
            Step::Works
        } else {
            Step::Wait(self.wake)
        }
    }

    /// Whether the container works, or else what to do.
    fn look_after(
        &mut self,
        live: &LiveContainer,
        spec: &Container,
        now: Instant,
    ) -> Result<bool, Step> {
        let unknown = ContainerProgress::default();
        let progress = self.view.progress.containers.get(&live.name);
        let progress = progress.unwrap_or(&unknown);
        match live.state {
            LiveState::Running => self.running(live, spec, progress, now),
            // Not one of a content, see `is_of`.
            LiveState::Created | LiveState::Paused => Ok(false),
            LiveState::Ended { code, .. } if is_done(spec.restart, code) => Ok(true),
            LiveState::Ended { .. } => {
                let cause = end_of(live, progress);
                if self.settling && (progress.started_by_us || spec.restart == Restart::Never) {
                    return Err(Step::GiveUp(cause, Some(live.id.clone())));
                }
                if spec.restart == Restart::Never {
                    return Ok(false);
                }
                match progress.restart_at {
                    Some(at) if at > now => {
                        self.wake_at(at);
                        Ok(false)
                    }
                    _ => Err(Step::Start(
                        live.name.clone(),
                        live.id.clone(),
                        // Before this agent saw it run, it ended with the device or the agent before.
                        progress.lived.is_some().then_some(cause),
                    )),
                }
            }
        }
    }

    fn running(
        &mut self,
        live: &LiveContainer,
        spec: &Container,
        progress: &ContainerProgress,
        now: Instant,
    ) -> Result<bool, Step> {
        let since = progress.running_since.unwrap_or(now);
        let steady = since + SETTLE;
        if now < steady && (self.settling || progress.cause.is_some()) {
            self.wake_at(steady);
        }
        let Some(health) = &spec.health else {
            return Ok(now >= steady);
        };
        let check_at = next_check(health, progress, since);
        if check_at <= now {
            let (name, id) = (live.name.clone(), live.id.clone());
            return Err(Step::Check(name, id, health.clone()));
        }
        self.wake_at(check_at);
        if progress.healthy == Some(true) {
            return Ok(true);
        }
        if self.settling {
            let limit = seconds(health.start_seconds)
                + seconds(health.interval_seconds).saturating_mul(health.retries.max(1));
            if progress.failed_checks > 0 && now >= since + limit {
                let cause = unhealthy(&live.name, progress);
                return Err(Step::GiveUp(cause, Some(live.id.clone())));
            }
        } else if progress.failed_checks >= health.retries.max(1)
            && now >= since + seconds(health.start_seconds)
        {
            return Err(Step::Replace(live.name.clone(), live.id.clone()));
        }
        Ok(false)
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = earlier(self.wake, Some(at));
    }
}

/// Whether it is not known yet if a content works.
pub fn is_settling(known: &Remembered, hash: &ContentHash) -> bool {
    known.healthy.as_ref().map(|healthy| &healthy.hash) != Some(hash)
}

/// Often until the first check passes, because a deploy waits for it.
fn next_check(health: &Health, progress: &ContainerProgress, since: Instant) -> Instant {
    const FIRST: Duration = Duration::from_millis(300);
    const UNTIL_IT_PASSES: Duration = Duration::from_secs(1);
    let interval = seconds(health.interval_seconds.max(1));
    match progress.checked_at {
        None => since + FIRST,
        Some(at) if progress.healthy == Some(true) => at + interval,
        Some(at) => at + interval.min(UNTIL_IT_PASSES),
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// The container has done its job.
pub fn is_done(restart: Restart, code: i32) -> bool {
    restart != Restart::Always && code == 0
}

/// Why a container ended.
pub fn end_of(live: &LiveContainer, progress: &ContainerProgress) -> Cause {
    const AT_START: Duration = Duration::from_secs(2);
    let LiveState::Ended {
        code,
        out_of_memory,
    } = live.state
    else {
        return unhealthy(&live.name, progress);
    };
    let lived = progress.lived;
    let mut detail = if out_of_memory {
        "the kernel killed it, because it used more memory than its limit".to_owned()
    } else {
        format!("exit code {code}")
    };
    if let Some(lived) = lived {
        detail = format!("{detail} after {:.1} s", lived.as_secs_f64());
    }
    Cause {
        reason: match lived {
            Some(lived) if lived >= AT_START => FailureReason::Crashed,
            _ => FailureReason::CrashedAtStart,
        },
        detail: detail.into(),
        container: Some(live.name.clone()),
    }
}

fn unhealthy(name: &ContainerName, progress: &ContainerProgress) -> Cause {
    let words = progress.cause.as_ref().map(|cause| cause.detail.clone());
    Cause {
        reason: FailureReason::Unhealthy,
        detail: words.unwrap_or_else(|| "the health check did not pass in time".into()),
        container: Some(name.clone()),
    }
}

/// Whether something that failed is tried again, or the content is given up. `attempts` counts this one.
pub fn is_final(reason: FailureReason, attempts: u32, step: &Step, known: &Remembered) -> bool {
    const PORT_ATTEMPTS: u32 = 3;
    let can_fall_back = known.healthy.is_some();
    match reason {
        FailureReason::PodmanUnavailable
        | FailureReason::RegistryUnreachable
        | FailureReason::ImageMissing
        | FailureReason::ImageDenied => false,
        FailureReason::DiskFull => can_fall_back && !matches!(step, Step::Pull(_)),
        // The deployment that had the port may be about to release it.
        FailureReason::PortTaken => can_fall_back && attempts >= PORT_ATTEMPTS,
        // The device can change.
        FailureReason::FolderMissing | FailureReason::SecretMissing | FailureReason::NameTaken => {
            can_fall_back
        }
        _ => true,
    }
}
