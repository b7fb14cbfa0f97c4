//! What happens to devices in the field.

use std::time::Duration;

use harmony_fleet_agent::testing::Behaviour;
use harmony_fleet_domain::LiveState;
use harmony_reconciler_contracts::{FailureReason, Generation, Phase};
use serde_json::json;

use crate::device::{Device, containers, desired, digest, score, state};

#[tokio::test(start_paused = true)]
async fn a_deployment_runs_is_updated_and_removed() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    assert_eq!(agent.phase_after(1, "app").await, Some(Phase::Starting));
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
    assert_eq!(agent.phase_after(10, "app").await, Some(Phase::Running));
    agent
        .tell(desired(2, &[("app", 'B'), ("other", 'c')]))
        .await;
    assert_eq!(agent.phase_after(30, "app").await, Some(Phase::Running));
    assert_eq!(
        device.running(),
        containers(&[("app-c", 'b'), ("other-c", 'c')])
    );
    agent.tell(desired(3, &[("other", 'c')])).await;
    assert_eq!(agent.phase_after(1, "app").await, None);
    assert_eq!(device.running(), containers(&[("other-c", 'c')]));
    assert_eq!(agent.observed().generation, Generation(3));
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_writes_nothing() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'A')])).await;
    assert_eq!(agent.phase_after(30, "app").await, Some(Phase::Running));
    let written = device.disk.operations();
    agent.after(3600, "app").await;
    agent.tell(desired(1, &[("app", 'A')])).await;
    agent.after(1, "app").await;
    assert_eq!(device.disk.operations(), written);
}

#[tokio::test(start_paused = true)]
async fn the_old_version_runs_until_the_new_image_is_there() {
    let device = Device::default();
    let mut agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    device.podman.set_offline(true);
    agent.tell(desired(2, &[("app", 'b')])).await;
    let told = agent.after(60, "app").await.unwrap();
    assert_eq!(told.phase, Phase::Retrying);
    assert_eq!(
        told.cause.unwrap().reason,
        FailureReason::RegistryUnreachable
    );
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
    // It is looked after meanwhile.
    device.podman.stop("app-c");
    agent.after(1, "app").await;
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
    device.podman.set_offline(false);
    agent
        .wait_for(|observed| {
            let phases = observed.deployments.values().map(|it| it.phase);
            phases.eq([Phase::Running])
        })
        .await;
    assert_eq!(device.running(), containers(&[("app-c", 'b')]));
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_of_power_the_same_containers_run_again_without_network() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a'), ("web", 'B')])).await;
    agent.after(20, "app").await;
    let before = device.podman.containers();
    drop(agent);
    device.podman.lose_power();
    device.podman.set_offline(true);
    let agent = device.boot();
    assert_eq!(agent.phase_after(30, "app").await, Some(Phase::Running));
    assert_eq!(device.podman.containers(), before, "the same ids, running");
    assert_eq!(device.podman.created(), 2);
    assert_eq!(agent.observed().generation, Generation(1));
    let restarts = agent.observed().deployments.into_values();
    let restarts = restarts.flat_map(|it| it.containers.into_values());
    assert!(restarts.into_iter().all(|it| it.restarts == 0));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_killed_leaves_containers_alone() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    let before = device.podman.containers();
    drop(agent);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let agent = device.boot();
    assert_eq!(agent.phase_after(60, "app").await, Some(Phase::Running));
    assert_eq!(device.podman.containers(), before);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_removed_or_stopped_comes_back() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    device.podman.take_away("app-c");
    agent.after(1, "app").await;
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
    device.podman.stop("app-c");
    agent.after(1, "app").await;
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
}

#[tokio::test(start_paused = true)]
async fn restarts_of_a_version_that_worked_are_delayed_and_counted() {
    let device = Device::default();
    let lifetime = Duration::from_secs(30);
    device
        .podman
        .behave(&digest('a'), Behaviour::EndsAfter(lifetime, 7));
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    assert_eq!(agent.phase_after(20, "app").await, Some(Phase::Running));
    let told = agent.after(15, "app").await.unwrap();
    assert_eq!(told.phase, Phase::Retrying);
    let cause = told.cause.unwrap();
    assert_eq!(cause.reason, FailureReason::Crashed);
    assert_eq!(
        cause.detail.as_str(),
        "exit code 7 after 30.0 s: the last line"
    );
    let told = agent.after(3600, "app").await.unwrap();
    let restarts = told.containers.values().next().unwrap().restarts;
    // 1 + 2 + 4 + ... + 300 s, each with 30 s of running.
    assert!((12..25).contains(&restarts), "{restarts}");
}

#[tokio::test(start_paused = true)]
async fn podman_that_does_not_answer_is_told_and_waited_for() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    device.podman.set_down(true);
    let told = agent.after(5, "app").await.unwrap();
    let reason = told.cause.unwrap().reason;
    assert_eq!(
        (told.phase, reason),
        (Phase::Retrying, FailureReason::PodmanUnavailable)
    );
    device.podman.set_down(false);
    assert_eq!(agent.phase_after(5, "app").await, Some(Phase::Running));
    assert_eq!(device.podman.created(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_device_never_goes_back() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(5, &[("app", 'b')])).await;
    agent.after(20, "app").await;
    agent.tell(desired(4, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    assert_eq!(device.running(), containers(&[("app-c", 'b')]));
    assert_eq!(agent.observed().generation, Generation(5));
    drop(agent);
    let agent = device.boot();
    agent.tell(desired(4, &[])).await;
    agent.after(20, "app").await;
    assert_eq!(device.running(), containers(&[("app-c", 'b')]));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_lost_its_memory_keeps_what_it_has_until_it_is_told() {
    let mut device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    drop(agent);
    device.disk = harmony_fleet_agent::testing::SimulatedDisk::default();
    device.podman.lose_power();
    let agent = device.boot();
    agent.after(60, "app").await;
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
    agent.tell(desired(1, &[("web", 'b')])).await;
    agent.after(20, "app").await;
    assert_eq!(device.running(), containers(&[("web-c", 'b')]));
}

#[tokio::test(start_paused = true)]
async fn what_this_agent_does_not_know_is_told_and_changes_nothing() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'a')])).await;
    agent.after(20, "app").await;
    let unknown = score("app", json!({"type": "WasmV7", "data": {"module": "x"}}));
    agent.tell(state(2, [unknown])).await;
    let told = agent.after(20, "app").await.unwrap();
    assert_eq!(told.phase, Phase::RolledBack);
    let cause = told.cause.unwrap();
    assert_eq!(cause.reason, FailureReason::AgentTooOld);
    assert_eq!(cause.detail.as_str(), "`WasmV7` is not supported");
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
    assert_eq!(device.podman.created(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_done_its_work_is_not_started_again() {
    let device = Device::default();
    device.podman.behave(
        &digest('a'),
        Behaviour::EndsAfter(Duration::from_secs(3), 0),
    );
    let agent = device.boot();
    let image = format!("r.example.com/app@{}", digest('a'));
    let job = score(
        "job",
        json!({"type": "PodmanV0", "data": {"containers": {"c": {"image": image, "restart": "never"}}}}),
    );
    agent.tell(state(1, [job])).await;
    assert_eq!(agent.phase_after(60, "job").await, Some(Phase::Running));
    assert_eq!(device.podman.created(), 1);
    let containers = device.podman.containers();
    assert!(matches!(
        containers["job-c"].state,
        LiveState::Ended { code: 0, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_is_no_longer_wanted_is_abandoned() {
    let device = Device::default();
    let agent = device.boot();
    device.podman.take(Duration::from_secs(600));
    agent.tell(desired(1, &[("app", 'a')])).await;
    assert_eq!(agent.phase_after(10, "app").await, Some(Phase::Pulling));
    device.podman.take(Duration::ZERO);
    agent.tell(desired(2, &[("app", 'b')])).await;
    assert_eq!(agent.phase_after(20, "app").await, Some(Phase::Running));
    assert_eq!(device.running(), containers(&[("app-c", 'b')]));
}

/// Podman refuses checks of a container that it is stopping for somebody.
#[tokio::test(start_paused = true)]
async fn checks_that_cannot_be_made_are_not_repeated_at_once() {
    let device = Device::default();
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'A')])).await;
    assert_eq!(agent.phase_after(20, "app").await, Some(Phase::Running));
    device.podman.refuse_checks(true);
    let before = device.podman.checks();
    agent.after(12, "app").await;
    let made = device.podman.checks() - before;
    assert!((1..=12).contains(&made), "{made}");
    device.podman.take_away("app-c");
    device.podman.refuse_checks(false);
    assert_eq!(agent.phase_after(30, "app").await, Some(Phase::Running));
    assert_eq!(device.running(), containers(&[("app-c", 'a')]));
}
