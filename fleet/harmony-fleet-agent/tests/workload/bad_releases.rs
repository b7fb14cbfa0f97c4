//! Versions that do not work: each is told with its cause, and the one before runs again.

use std::time::Duration;

use harmony_fleet_agent::testing::Behaviour;
use harmony_reconciler_contracts::{FailureReason, Phase};

use crate::device::{Device, containers, desired, digest};

/// What happens, whether the health check is asked, and what is told.
fn cases() -> Vec<(Behaviour, char, FailureReason, Phase)> {
    use Behaviour::{CannotBePulled, CannotBeRun, EndsAfter, Unhealthy};
    use FailureReason as Reason;
    let pulled = [
        Reason::ImageMissing,
        Reason::ImageDenied,
        Reason::RegistryUnreachable,
        Reason::DiskFull,
    ];
    let run = [
        Reason::CannotStart,
        Reason::PortTaken,
        Reason::FolderMissing,
        Reason::SecretMissing,
        Reason::NameTaken,
        Reason::DiskFull,
        Reason::PodmanRefused,
    ];
    let mut cases = Vec::new();
    cases.extend(pulled.map(|reason| (CannotBePulled(reason), 'b', reason, Phase::Retrying)));
    let reason = Reason::WrongArchitecture;
    cases.push((CannotBePulled(reason), 'b', reason, Phase::RolledBack));
    cases.extend(run.map(|reason| (CannotBeRun(reason), 'b', reason, Phase::RolledBack)));
    let ends = |millis, code, reason| {
        let behaviour = EndsAfter(Duration::from_millis(millis), code);
        (behaviour, 'b', reason, Phase::RolledBack)
    };
    cases.push(ends(100, 1, Reason::CrashedAtStart));
    cases.push(ends(100, 0, Reason::CrashedAtStart));
    cases.push(ends(5000, 1, Reason::Crashed));
    cases.push((Unhealthy, 'B', Reason::Unhealthy, Phase::RolledBack));
    cases
}

#[tokio::test(start_paused = true)]
async fn the_version_before_runs_again() {
    for (behaviour, letter, reason, phase) in cases() {
        let device = Device::default();
        device.podman.behave(&digest('b'), behaviour);
        let agent = device.boot();
        agent.tell(desired(1, &[("app", 'a')])).await;
        agent.after(20, "app").await;
        agent.tell(desired(2, &[("app", letter)])).await;
        let told = agent.after(60, "app").await.unwrap();
        let cause = told.cause.clone().unwrap();
        assert_eq!((told.phase, cause.reason), (phase, reason), "{behaviour:?}");
        assert_eq!(
            device.running(),
            containers(&[("app-c", 'a')]),
            "{behaviour:?}"
        );
        assert_ne!(told.running, Some(told.wanted), "{behaviour:?}");
        // It is not tried again, also not after a restart.
        if phase == Phase::RolledBack {
            let created = device.podman.created();
            drop(agent);
            let agent = device.boot();
            let told = agent.after(3600, "app").await.unwrap();
            assert_eq!(told.phase, Phase::RolledBack);
            assert_eq!(device.podman.created(), created, "{behaviour:?}");
            agent.tell(desired(3, &[("app", 'c')])).await;
            assert_eq!(agent.phase_after(20, "app").await, Some(Phase::Running));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_version_before_nothing_runs_and_the_cause_is_told() {
    for (behaviour, letter, reason, phase) in cases() {
        let device = Device::default();
        device.podman.behave(&digest('b'), behaviour);
        let agent = device.boot();
        agent.tell(desired(1, &[("app", letter)])).await;
        let told = agent.after(60, "app").await.unwrap();
        let can_go_away = matches!(
            reason,
            FailureReason::PortTaken
                | FailureReason::FolderMissing
                | FailureReason::SecretMissing
                | FailureReason::NameTaken
                | FailureReason::DiskFull
        );
        let phase = match phase {
            Phase::RolledBack if !can_go_away => Phase::Failed,
            _ => Phase::Retrying,
        };
        let cause = told.cause.unwrap();
        assert_eq!((told.phase, cause.reason), (phase, reason), "{behaviour:?}");
        assert_eq!(device.running(), containers(&[]), "{behaviour:?}");
        if can_go_away {
            device.podman.behave(&digest('b'), Behaviour::Works);
            let phase = agent.phase_after(600, "app").await;
            assert_eq!(phase, Some(Phase::Running), "{behaviour:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_output_of_a_container_that_failed_is_told() {
    let device = Device::default();
    let crash = Behaviour::EndsAfter(Duration::from_millis(300), 3);
    device.podman.behave(&digest('b'), crash);
    let agent = device.boot();
    agent.tell(desired(1, &[("app", 'b')])).await;
    let told = agent.after(60, "app").await.unwrap();
    let detail = told.cause.unwrap().detail;
    assert_eq!(detail.as_str(), "exit code 3 after 0.3 s: the last line");
    let log: Vec<_> = told.containers.values().flat_map(|it| &it.log).collect();
    assert_eq!(log.len(), 1);
}
