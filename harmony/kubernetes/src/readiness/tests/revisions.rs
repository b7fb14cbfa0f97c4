//! Whether the current revision of a workload serves, and who disturbs it.

use super::*;

#[test]
fn a_deployment_is_ready_when_the_new_revision_serves_and_the_old_is_gone() {
    let mut stage = Stage::deployment(vec![ready_pod("a", "new"), ready_pod("b", "new")]);
    stage.object = Some(serving());
    assert!(matches!(stage.look(), Progress::Ready));
}

#[test]
fn pods_of_the_old_revision_do_not_make_it_ready() {
    // The controller has not seen the change: its status still speaks of the revision before.
    let mut stage = Stage::deployment(vec![ready_pod("a", "old"), ready_pod("b", "old")]);
    let mut object = serving();
    object["metadata"]["generation"] = json!(3);
    stage.object = Some(object);
    let Progress::Waiting { why } = stage.look() else {
        panic!()
    };
    assert_eq!(why, "its controller has not seen the change yet");
    // It has, and the old pods still run beside the new.
    stage.set_pods(vec![
        ready_pod("a", "new"),
        ready_pod("b", "new"),
        ready_pod("c", "old"),
    ]);
    stage.object = Some(serving());
    let Progress::Waiting { why } = stage.look() else {
        panic!()
    };
    assert_eq!(why, "2/2 ready; old pods still running: 1");
    // It is told to end, and takes its time.
    let mut leaving = ready_pod("c", "old");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T10:00:30Z");
    stage.set_pods(vec![ready_pod("a", "new"), ready_pod("b", "new"), leaving]);
    assert!(matches!(stage.look(), Progress::Ready));
}

#[test]
fn trouble_of_old_pods_is_not_the_new_revisions() {
    let broken = pod("a", "old", waiting("ErrImageNeverPull", "not there"));
    let starting = pod("b", "new", waiting("ContainerCreating", ""));
    let mut stage = Stage::deployment(vec![broken, starting]);
    let Progress::Waiting { why } = stage.look() else {
        panic!()
    };
    assert_eq!(why, "0/2 ready; pod b: ContainerCreating");
    assert!(stage.run_until_failure(100).is_none());
}

#[test]
fn a_ready_sister_disproves_a_cause_in_the_template() {
    let mut stage = Stage::deployment(vec![
        ready_pod("a", "new"),
        pod("b", "new", waiting("ErrImagePull", "not found")),
    ]);
    assert!(stage.run_until_failure(100).is_none());
    let failure = stage.tracker.give_up(stage.now);
    assert_eq!(failure.verdict.class, FailureClass::ImageNotFound);
    assert_eq!(failure.verdict.confidence, Confidence::Ambiguous);
}

#[test]
fn evicted_pods_say_nothing_of_the_revision() {
    let mut evicted = pod("a", "new", crashed(5, 137, "Error"));
    evicted["status"]["phase"] = json!("Failed");
    evicted["status"]["reason"] = json!("Evicted");
    assert!(
        Stage::deployment(vec![evicted])
            .run_until_failure(100)
            .is_none()
    );
}

#[test]
fn who_changes_it_meanwhile_is_told() {
    let mut stage = Stage::deployment(Vec::new());
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    let mut scaled = deployment();
    scaled["metadata"]["generation"] = json!(3);
    scaled["spec"]["replicas"] = json!(5);
    stage.object = Some(scaled);
    assert!(
        matches!(stage.after(1), Progress::Waiting { .. }),
        "an autoscaler is not a deployer"
    );
    let mut changed = deployment();
    changed["spec"]["template"] = json!({ "spec": { "containers": [] } });
    stage.object = Some(changed);
    let Progress::Failed(failure) = stage.after(1) else {
        panic!()
    };
    assert_eq!(failure.verdict.class, FailureClass::Superseded);
    let mut stage = Stage::deployment(Vec::new());
    stage.look();
    stage.object = None;
    let Progress::Failed(failure) = stage.after(1) else {
        panic!()
    };
    assert_eq!(
        failure.verdict.summary,
        "Deployment site/web was deleted during the deploy"
    );
}

#[test]
fn an_object_that_never_was_fails_soon() {
    let mut stage = Stage::deployment(Vec::new());
    stage.object = None;
    let (seconds, failure) = stage.run_until_failure(100).unwrap();
    assert_eq!(
        (seconds, failure.verdict.class),
        (5, FailureClass::Superseded)
    );
}

#[test]
fn a_deployment_that_gives_up_is_explained_by_its_pod() {
    let mut stage = Stage::deployment(vec![pod("a", "new", crashed(1, 9, "Error"))]);
    let mut object = deployment();
    object["status"]["conditions"] = json!([
        { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out progressing" }
    ]);
    stage.object = Some(object);
    let (_, failure) = stage.run_until_failure(0).unwrap();
    assert_eq!(failure.verdict.class, FailureClass::CrashLoop);
}

#[test]
fn at_the_deadline_the_last_state_is_told() {
    let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
    assert!(stage.run_until_failure(40).is_none());
    let failure = stage.tracker.give_up(stage.now);
    assert_eq!(failure.verdict.class, FailureClass::NotReady);
    assert_eq!(
        failure.verdict.summary,
        "Deployment site/web is not ready after 40 s"
    );
    assert_eq!(
        failure.verdict.evidence,
        ["0/2 ready; pod a: ContainerCreating"]
    );
    assert_eq!(failure.culprit.unwrap().pod, "a");
}
