//! Repeats the decision for all deployments, and carries out the steps.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use harmony_fleet_domain::{
    Checked, ContainerRuntime, ContainerSigns, ErrorChain, LiveContainer, LiveState, RuntimeError,
};
use harmony_reconciler_contracts::{
    Cause, ContainerName, DeploymentName, DesiredDeployment, DesiredState, FailureReason,
    Generation, ObservedDeployment, Reason,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::action::{Action, Done};
use super::memory::{DeviceMemory, Failed, Remembered};
use super::plan::{self, Goal, Step, View, is_settling};
use super::progress::Progress;
use super::report;
use super::store::{Disk, Store};

/// Everything is compared again after this time, even if nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(60);

/// The time after which a failed write of the memory or a failed question to podman is repeated.
const RETRY: Duration = Duration::from_secs(2);

/// What the device runs, without the parts that only matter for sending it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The desired state that is stored on the device.
    pub generation: Generation,
    pub deployments: BTreeMap<DeploymentName, ObservedDeployment>,
}

/// Makes the device run what it should run.
#[derive(Debug)]
pub struct Reconciler<'a, R, D> {
    runtime: &'a R,
    store: Store<D>,
    memory: DeviceMemory,
    work: BTreeMap<DeploymentName, Work>,
    live: Vec<LiveContainer>,
    /// Why podman cannot be asked, until it can.
    unavailable: Option<Cause>,
    observed: watch::Sender<Observed>,
    /// The wall clock, in milliseconds since 1970.
    clock: fn() -> i64,
}

/// What this run of the agent does for a deployment.
#[derive(Debug, Default)]
struct Work {
    progress: Progress,
    /// A step other than a pull is being carried out.
    busy: bool,
    pull: Option<AbortHandle>,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, (DeploymentName, Option<Done>)>>;

impl<'a, R: ContainerRuntime + ContainerSigns, D: Disk> Reconciler<'a, R, D> {
    /// Continues with what is remembered. Does nothing yet.
    pub fn new(
        runtime: &'a R,
        store: Store<D>,
        memory: DeviceMemory,
        observed: watch::Sender<Observed>,
        clock: fn() -> i64,
    ) -> Self {
        Self {
            runtime,
            store,
            memory,
            work: BTreeMap::new(),
            live: Vec::new(),
            unavailable: None,
            observed,
            clock,
        }
    }

    /// Runs until the sender of desired states is gone.
    pub async fn run(mut self, mut desired: mpsc::Receiver<DesiredState>) {
        let runtime = self.runtime;
        let mut running: Running<'a> = FuturesUnordered::new();
        // Kept over the rounds, so that no change is missed between two of them.
        let mut changed = pin!(runtime.changed());
        loop {
            let now = Instant::now();
            let wake = self.round(&mut running, now).await;
            tokio::select! {
                state = desired.recv() => match state {
                    Some(state) => self.accept(state),
                    None => return,
                },
                Some((name, done)) = running.next() => self.finish(&name, done, Instant::now()),
                () = &mut changed => changed.set(runtime.changed()),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Looks at the containers, and starts what is to be done. Returns the time of the next round.
    async fn round(&mut self, running: &mut Running<'a>, now: Instant) -> Instant {
        let mut wake = now + RESYNC;
        match self.runtime.list().await {
            Ok(live) => {
                self.live = live;
                self.unavailable = None;
                if let Some(at) = self.decide(running, now) {
                    wake = wake.min(at);
                }
            }
            Err(error) => {
                if self.unavailable.is_none() {
                    tracing::warn!(error = %ErrorChain(&error), "cannot see the containers; trying again");
                }
                self.unavailable = Some(cause_of(&error, None));
                wake = now + RETRY;
            }
        }
        if !self.save() {
            wake = wake.min(now + RETRY);
        }
        self.publish();
        wake
    }

    fn accept(&mut self, desired: DesiredState) {
        let generation = desired.generation;
        if self.memory.accept(desired) {
            tracing::info!(%generation, "received a new desired state");
        }
    }

    /// Decides for each deployment, and returns when to decide again.
    fn decide(&mut self, running: &mut Running<'a>, now: Instant) -> Option<Instant> {
        if self.memory.desired.is_none() {
            return self.decide_without_memory(running, now);
        }
        let mut wake = None;
        for name in self.names() {
            if let Some(at) = self.decide_one(&name, running, now) {
                wake = Some(wake.map_or(at, |wake: Instant| wake.min(at)));
            }
        }
        wake
    }

    /// A device that lost its memory keeps what it has until it is told what to run.
    fn decide_without_memory(
        &mut self,
        running: &mut Running<'a>,
        now: Instant,
    ) -> Option<Instant> {
        let ended: Vec<_> = self
            .live
            .iter()
            .filter(|live| matches!(live.state, LiveState::Ended { code, .. } if code != 0))
            .map(|live| (live.deployment.clone(), live.name.clone(), live.id.clone()))
            .collect();
        let any = !ended.is_empty();
        for (deployment, name, id) in ended {
            if !self.work.entry(deployment.clone()).or_default().busy {
                self.start(deployment, None, Step::Start(name, id, None), running);
            }
        }
        any.then_some(now + RETRY)
    }

    fn names(&self) -> BTreeSet<DeploymentName> {
        let desired = self.memory.desired.iter();
        let wanted = desired.flat_map(|desired| desired.deployments.keys());
        let live = self.live.iter().map(|live| &live.deployment);
        let known = self.memory.deployments.keys();
        wanted.chain(live).chain(known).cloned().collect()
    }

    fn decide_one(
        &mut self,
        name: &DeploymentName,
        running: &mut Running<'a>,
        now: Instant,
    ) -> Option<Instant> {
        let nothing = Remembered::default();
        let wanted = self.memory.wanted(name).cloned();
        let known = self
            .memory
            .deployments
            .get(name)
            .unwrap_or(&nothing)
            .clone();
        let content = wanted
            .as_ref()
            .and_then(|wanted| Goal::of(wanted, &known).content.cloned());
        let live: Vec<_> = self
            .live
            .iter()
            .filter(|live| live.deployment == *name)
            .collect();
        let work = self.work.entry(name.clone()).or_default();
        let hash = content.as_ref().map(|content| &content.hash);
        if work.progress.content.as_ref() != hash
            && let Some(pull) = work.pull.take()
        {
            pull.abort();
        }
        work.progress.follow(hash);
        let of_content = live.iter().filter(|live| Some(&live.hash) == hash);
        work.progress.observe(of_content.copied(), now);
        work.progress.recover(now);
        if work.busy {
            return None;
        }
        let view = View {
            wanted: wanted.as_ref(),
            known: &known,
            live: &live,
            progress: &work.progress,
            pulling: work.pull.is_some(),
        };
        match plan::next(view, now) {
            Step::Wait(until) => until,
            Step::Works => {
                let content = content?;
                tracing::info!(deployment = %name, content = %content.hash, "the deployment works");
                let remembered = self.memory.deployments.entry(name.clone()).or_default();
                remembered.healthy = Some(content);
                remembered.failed = None;
                Some(now)
            }
            Step::Forget => {
                self.work.remove(name);
                if self.memory.deployments.remove(name).is_some() {
                    tracing::info!(deployment = %name, "the deployment is removed");
                }
                None
            }
            step => {
                self.start(name.clone(), content, step, running);
                None
            }
        }
    }

    fn start(
        &mut self,
        deployment: DeploymentName,
        content: Option<DesiredDeployment>,
        step: Step,
        running: &mut Running<'a>,
    ) {
        tracing::debug!(%deployment, ?step, "next step");
        let work = self.work.entry(deployment.clone()).or_default();
        let (abort, registration) = AbortHandle::new_pair();
        if matches!(step, Step::Pull(_)) {
            work.pull = Some(abort);
        } else {
            work.busy = true;
        }
        let action = Action {
            deployment: deployment.clone(),
            content,
            step,
            begun: Instant::now(),
        };
        let performed = Abortable::new(action.perform(self.runtime), registration);
        running.push(Box::pin(async move { (deployment, performed.await.ok()) }));
    }

    fn finish(&mut self, name: &DeploymentName, done: Option<Done>, now: Instant) {
        // A pull that was aborted has been forgotten already.
        let (Some(done), Some(work)) = (done, self.work.get_mut(name)) else {
            return;
        };
        let Done {
            action,
            result,
            lines,
        } = done;
        if matches!(action.step, Step::Pull(_)) {
            work.pull = None;
        } else {
            work.busy = false;
        }
        let hash = action.content.as_ref().map(|content| &content.hash);
        if work.progress.content.as_ref() != hash {
            return;
        }
        match result {
            Ok(checked) => {
                work.progress.trouble = None;
                if let (Step::GiveUp(cause, _), Some(hash)) = (&action.step, hash) {
                    let failed = Failed {
                        hash: hash.clone(),
                        cause: with_output(cause.clone(), &lines),
                        log: lines,
                    };
                    self.give_up(name, failed);
                } else {
                    succeeded(&mut work.progress, &action, checked, lines, now);
                }
            }
            Err(error) if matches!(action.step, Step::Check(..)) => {
                tracing::warn!(deployment = %name, error = %ErrorChain(&error), "a health check could not be made");
                check_failed(&mut work.progress, &action.step, &error, now);
            }
            Err(error) => {
                let known = self.memory.deployments.entry(name.clone()).or_default();
                let attempts = work.progress.trouble.as_ref();
                let attempts = attempts.map_or(0, |trouble| trouble.attempts) + 1;
                let cause = cause_of(&error, container_of(&action.step));
                tracing::warn!(deployment = %name, attempts, error = %ErrorChain(&error), "a step failed");
                match hash {
                    Some(hash)
                        if is_settling(known, hash)
                            && plan::is_final(error.reason, attempts, &action.step, known) =>
                    {
                        let failed = Failed {
                            hash: hash.clone(),
                            cause,
                            log: lines,
                        };
                        self.give_up(name, failed);
                    }
                    _ => work.progress.failed_for_now(cause, now),
                }
            }
        }
    }

    fn give_up(&mut self, name: &DeploymentName, failed: Failed) {
        let known = self.memory.deployments.entry(name.clone()).or_default();
        let falls_back = known.healthy.is_some();
        tracing::warn!(
            deployment = %name, content = %failed.hash, falls_back, reason = ?failed.cause.reason,
            detail = %failed.cause.detail, "the deployment does not work; it is not tried again until it changes"
        );
        known.failed = Some(failed);
    }

    /// Returns whether everything is stored.
    fn save(&mut self) -> bool {
        match self.store.save(&self.memory) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "cannot store the desired state; trying again");
                false
            }
        }
    }

    fn publish(&mut self) {
        let now_ms = (self.clock)();
        let stored = self
            .store
            .stored()
            .and_then(|stored| stored.desired.as_ref());
        let generation = stored.map_or(Generation(0), |desired| desired.generation);
        let nothing = (Remembered::default(), Progress::default());
        self.observed.send_if_modified(|observed| {
            let desired = self.memory.desired.iter();
            let deployments = desired.flat_map(|desired| &desired.deployments);
            let deployments = deployments.map(|(name, wanted)| {
                let known = self.memory.deployments.get(name).unwrap_or(&nothing.0);
                let work = self.work.get(name);
                let progress = work.map_or(&nothing.1, |work| &work.progress);
                let live = self.live.iter().filter(|live| live.deployment == *name);
                let live: Vec<_> = live.collect();
                let before = observed.deployments.get(name);
                let mut told = report::describe(wanted, known, &live, progress, before, now_ms);
                if let Some(cause) = &self.unavailable {
                    told.phase = harmony_reconciler_contracts::Phase::Retrying;
                    told.cause = Some(cause.clone());
                }
                (name.clone(), told)
            });
            let next = Observed {
                generation,
                deployments: deployments.collect(),
            };
            let is_new = *observed != next;
            *observed = next;
            is_new
        });
    }
}

/// Takes in a step that succeeded.
fn succeeded(
    progress: &mut Progress,
    action: &Action,
    checked: Option<Checked>,
    lines: Vec<Reason>,
    now: Instant,
) {
    match &action.step {
        Step::Pull(image) => drop(progress.pulled.insert(image.clone())),
        Step::Run(name) => progress.container(name).was_run(action.begun, now),
        Step::Start(name, _, cause) => {
            let container = progress.container(name);
            match cause {
                Some(cause) => {
                    container.was_restarted(action.begun, now);
                    container.cause = Some(with_output(cause.clone(), &lines));
                    container.log = lines;
                }
                None => container.was_run(action.begun, now),
            }
        }
        Step::Replace(name, _) => {
            let container = progress.container(name);
            container.is_replaced(now);
            container.log = lines;
        }
        Step::Check(name, ..) => {
            let container = progress.container(name);
            container.checked_at = Some(now);
            if let Some(Checked::Failed { words }) = checked {
                container.failed_check(name, &words);
            } else {
                container.healthy = Some(true);
                container.failed_checks = 0;
            }
        }
        Step::GiveUp(..) | Step::Remove(_) | Step::Works | Step::Wait(_) | Step::Forget => {}
    }
}

/// Takes in a check that could not be made. It is made again after the usual time: the container may be about to end, and
/// the next look at it tells.
fn check_failed(progress: &mut Progress, step: &Step, error: &RuntimeError, now: Instant) {
    let Step::Check(name, ..) = step else {
        return;
    };
    let container = progress.container(name);
    container.checked_at = Some(now);
    // Says nothing about the container.
    if error.reason == FailureReason::PodmanUnavailable {
        return;
    }
    container.failed_check(name, &error.detail);
}

/// The last line of the output usually says what happened.
fn with_output(mut cause: Cause, lines: &[Reason]) -> Cause {
    if let Some(last) = lines
        .iter()
        .rev()
        .find(|line| !line.as_str().trim().is_empty())
    {
        cause.detail = format!("{}: {last}", cause.detail).into();
    }
    cause
}

fn container_of(step: &Step) -> Option<ContainerName> {
    match step {
        Step::Run(name)
        | Step::Start(name, ..)
        | Step::Check(name, ..)
        | Step::Replace(name, _) => Some(name.clone()),
        _ => None,
    }
}

fn cause_of(error: &RuntimeError, container: Option<ContainerName>) -> Cause {
    Cause {
        reason: error.reason,
        detail: error.detail.as_str().into(),
        container,
    }
}
