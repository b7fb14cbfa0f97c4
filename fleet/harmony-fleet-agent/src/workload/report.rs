//! What the device tells about a deployment.

use std::collections::{BTreeMap, BTreeSet};

use harmony_fleet_domain::{LiveContainer, LiveState};
use harmony_reconciler_contracts::{
    Cause, ContentHash, DesiredDeployment, ObservedContainer, ObservedDeployment, Phase,
};

use super::memory::Remembered;
use super::plan::{Goal, containers_of, end_of, is_done, is_settling};
use super::progress::{ContainerProgress, Progress};

/// Describes a deployment. `before` is what was told last, for the time since when it is so.
pub fn describe(
    wanted: &DesiredDeployment,
    known: &Remembered,
    live: &[&LiveContainer],
    progress: &Progress,
    before: Option<&ObservedDeployment>,
    now_ms: i64,
) -> ObservedDeployment {
    let goal = Goal::of(wanted, known);
    let running = running_content(live);
    let (phase, cause) = phase_of(&goal, known, live, progress);
    let same = |before: &&ObservedDeployment| {
        let reason = |cause: &Option<Cause>| cause.as_ref().map(|cause| cause.reason);
        before.wanted == wanted.hash
            && before.phase == phase
            && reason(&before.cause) == reason(&cause)
    };
    let since_ms = before.filter(same).map_or(now_ms, |before| before.since_ms);
    let containers = live.iter().map(|live| {
        let unknown = ContainerProgress::default();
        let progress = progress.containers.get(&live.name).unwrap_or(&unknown);
        (live.name.clone(), describe_container(live, progress))
    });
    let mut containers: BTreeMap<_, _> = containers.collect();
    // The output of a container that is gone explains why it is.
    for (name, progress) in &progress.containers {
        if !progress.log.is_empty() {
            let entry: &mut ObservedContainer = containers.entry(name.clone()).or_default();
            entry.log.clone_from(&progress.log);
        }
    }
    if let (Some(_), Some(failed)) = (&goal.blocked, &known.failed)
        && let Some(name) = &failed.cause.container
    {
        let entry: &mut ObservedContainer = containers.entry(name.clone()).or_default();
        entry.log.clone_from(&failed.log);
    }
    ObservedDeployment {
        wanted: wanted.hash.clone(),
        running,
        phase,
        cause,
        since_ms,
        containers,
    }
}

fn phase_of(
    goal: &Goal<'_>,
    known: &Remembered,
    live: &[&LiveContainer],
    progress: &Progress,
) -> (Phase, Option<Cause>) {
    if let Some(cause) = &goal.blocked {
        let phase = match goal.content {
            Some(_) => Phase::RolledBack,
            None => Phase::Failed,
        };
        return (phase, Some(cause.clone()));
    }
    if let Some(trouble) = &progress.trouble {
        return (Phase::Retrying, Some(trouble.cause.clone()));
    }
    let Some(content) = goal.content else {
        return (Phase::Failed, None);
    };
    let specs = containers_of(content);
    if is_settling(known, &content.hash) {
        let is_absent = |image| !progress.pulled.contains(image);
        let some_run = live.iter().any(|live| live.hash == content.hash);
        let pulling = !some_run && specs.values().any(|spec| is_absent(&spec.image));
        let phase = if pulling {
            Phase::Pulling
        } else {
            Phase::Starting
        };
        return (phase, None);
    }
    let problem = live.iter().find_map(|live| {
        let spec = specs.get(&live.name)?;
        let unknown = ContainerProgress::default();
        let progress = progress.containers.get(&live.name).unwrap_or(&unknown);
        match live.state {
            LiveState::Ended { code, .. } if is_done(spec.restart, code) => None,
            LiveState::Ended { .. } => Some(end_of(live, progress)),
            _ => progress.cause.clone(),
        }
    });
    match problem {
        Some(cause) => (Phase::Retrying, Some(cause)),
        None if live.len() < specs.len() => (Phase::Starting, None),
        None => (Phase::Running, None),
    }
}

/// The content that the containers have, if all of them have the same.
fn running_content(live: &[&LiveContainer]) -> Option<ContentHash> {
    let hashes: BTreeSet<_> = live.iter().map(|live| &live.hash).collect();
    match hashes.len() {
        1 => hashes.first().map(|hash| (*hash).clone()),
        _ => None,
    }
}

fn describe_container(live: &LiveContainer, progress: &ContainerProgress) -> ObservedContainer {
    ObservedContainer {
        running: live.state == LiveState::Running,
        image: live.image.as_deref().map(Into::into),
        restarts: progress.restarts,
        exit_code: match live.state {
            LiveState::Ended { code, .. } => Some(code),
            _ => None,
        },
        log: progress.log.clone(),
    }
}
