//! "Ready" lasts, or it was none.

use super::*;

/// A ready pod with these fields in its container, which started now and became ready now.
fn fresh(container: Value) -> Value {
    let mut pod = ready_pod("a", "new");
    let fields = container.as_object().unwrap().clone();
    let spec = pod["spec"]["containers"][0].as_object_mut().unwrap();
    spec.extend(fields);
    pod["status"]["conditions"][0]["lastTransitionTime"] = json!(BEGAN);
    pod["status"]["containerStatuses"][0]["state"] = json!({ "running": { "startedAt": BEGAN } });
    pod
}

fn stage(pod: Value) -> Stage {
    let mut object = serving();
    for field in [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ] {
        object["status"][field] = json!(1);
    }
    object["spec"]["replicas"] = json!(1);
    let mut stage = Stage::deployment(vec![pod]);
    stage.object = Some(object);
    stage
}

fn at(mut event: Value, time: &str) -> Value {
    event["lastTimestamp"] = json!(format!("2026-01-01T10:00:{time}Z"));
    event
}

fn is_ready_after(stage: &mut Stage, at_most: i64) -> Option<i64> {
    for second in 0..=at_most {
        let progress = if second == 0 {
            stage.look()
        } else {
            stage.after(1)
        };
        match progress {
            Progress::Ready => return Some(second),
            Progress::Waiting { .. } => {}
            Progress::Failed(failure) => panic!("{failure:?}"),
        }
    }
    None
}

#[test]
fn a_new_pod_has_to_stay_ready_as_long_as_its_probe_needs_to_say_otherwise() {
    for (probe, seconds) in [
        (Value::Null, 5),
        (json!({ "periodSeconds": 1, "failureThreshold": 1 }), 3),
        (json!({ "periodSeconds": 2, "failureThreshold": 2 }), 4),
        (json!({ "periodSeconds": 10, "failureThreshold": 3 }), 5),
    ] {
        let mut stage = stage(fresh(json!({ "readinessProbe": probe })));
        assert_eq!(is_ready_after(&mut stage, 60), Some(seconds), "{probe}");
    }
    // one that has been ready for long is no news
    let mut old = stage(fresh(json!({ "readinessProbe": null })));
    old.now += SignedDuration::from_secs(8);
    assert_eq!(is_ready_after(&mut old, 60), Some(0));
}

#[test]
fn a_restart_between_two_looks_begins_the_proof_again() {
    let run = |restarts: i32| {
        let mut pod = fresh(json!({ "readinessProbe": null }));
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
        pod
    };
    let mut stage = stage(run(0));
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    assert!(matches!(stage.after(3), Progress::Waiting { .. }));
    stage.set_pods(vec![run(1)]);
    assert!(matches!(stage.after(1), Progress::Waiting { .. }));
    assert!(matches!(stage.after(2), Progress::Waiting { .. }));
    assert!(matches!(stage.after(3), Progress::Ready));
}

#[test]
fn a_liveness_probe_is_waited_for_until_it_answers_or_could_kill() {
    let readiness = json!({ "periodSeconds": 1, "failureThreshold": 1 });
    for (liveness, seconds) in [
        // could kill within ten seconds
        (json!({ "periodSeconds": 1, "failureThreshold": 3 }), 6),
        (json!({ "periodSeconds": 3, "failureThreshold": 3 }), 12),
        (
            json!({ "initialDelaySeconds": 4, "periodSeconds": 1, "failureThreshold": 3 }),
            10,
        ),
        // the usual one answers once, and kills later
        (json!({}), 14),
        (json!({ "initialDelaySeconds": 2, "periodSeconds": 5 }), 11),
        // begins too late to be waited for
        (json!({ "initialDelaySeconds": 30 }), 3),
    ] {
        let mut stage = stage(fresh(
            json!({ "readinessProbe": readiness, "livenessProbe": liveness }),
        ));
        assert_eq!(is_ready_after(&mut stage, 60), Some(seconds), "{liveness}");
    }
}

#[test]
fn a_startup_probe_holds_the_liveness_probe_back() {
    let liveness = json!({ "periodSeconds": 1, "failureThreshold": 3 });
    let mut pod = fresh(
        json!({ "livenessProbe": liveness, "readinessProbe": { "periodSeconds": 1 }, "startupProbe": { "failureThreshold": 60 } }),
    );
    pod["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-01-01T10:00:06Z");
    let mut stage = stage(pod);
    stage.now += SignedDuration::from_secs(6);
    assert_eq!(is_ready_after(&mut stage, 60), Some(6));
}

#[test]
fn a_failing_liveness_probe_is_waited_for_however_long_it_takes() {
    let mut stage = stage(fresh(
        json!({ "livenessProbe": { "initialDelaySeconds": 60, "periodSeconds": 10 } }),
    ));
    let failed = "Liveness probe failed: HTTP probe failed with statuscode: 500";
    stage.now += SignedDuration::from_secs(30);
    stage.set_events(vec![at(event("a", "Unhealthy", failed), "29")]);
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    assert!(matches!(stage.after(29), Progress::Waiting { .. }));
    // it failed once and kept quiet then
    assert!(matches!(stage.after(3), Progress::Ready));
}

#[test]
fn what_a_probe_kills_is_told_by_the_probe_although_it_is_ready_in_between() {
    let mut again = fresh(json!({ "livenessProbe": { "periodSeconds": 1 } }));
    again["status"]["containerStatuses"][0]["restartCount"] = json!(1);
    let events = vec![
        event(
            "a",
            "Killing",
            "Container app failed liveness probe, will be restarted",
        ),
        event(
            "a",
            "Unhealthy",
            "Liveness probe failed: HTTP probe failed with statuscode: 404",
        ),
    ];
    let stage_of = stage;
    let mut stage = stage_of(again.clone());
    stage.set_events(events.clone());
    assert_fails(
        &mut stage,
        FailureClass::NotReady,
        0,
        "container app of Deployment site/web is killed because its liveness probe fails",
        "statuscode: 404",
    );
    // it recovered, and the events of that time are still there
    let mut stage = stage_of(again);
    stage.set_events(events.clone());
    stage.now += SignedDuration::from_secs(60);
    assert!(matches!(stage.look(), Progress::Ready));
    // The status speaks of an end only, here even of one with success.
    for code in [0, 137] {
        let mut stage = Stage::deployment(vec![pod("a", "new", crashed(2, code, "Error"))]);
        stage.set_events(events.clone());
        let (_, failure) = stage.run_until_failure(0).unwrap();
        assert_eq!(failure.verdict.class, FailureClass::NotReady, "{failure:?}");
    }
    // a crash after an earlier kill is a crash
    let mut crashed = pod("a", "new", crashed(2, 3, "Error"));
    crashed["status"]["containerStatuses"][0]["lastState"]["terminated"]["startedAt"] =
        json!("2026-01-01T10:00:40Z");
    let mut stage = Stage::deployment(vec![crashed]);
    stage.set_events(events);
    let (_, failure) = stage.run_until_failure(0).unwrap();
    assert_eq!(
        failure.verdict.class,
        FailureClass::CrashLoop,
        "{failure:?}"
    );
}

#[test]
fn readiness_that_comes_and_goes_is_told_as_such() {
    let probe = json!({ "readinessProbe": { "periodSeconds": 1, "failureThreshold": 5 } });
    let ready = fresh(probe);
    let mut lost = ready.clone();
    lost["status"]["conditions"][0]["status"] = json!("False");
    lost["status"]["containerStatuses"][0]["ready"] = json!(false);
    let mut stage = stage(ready.clone());
    stage.set_events(vec![event(
        "a",
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
    )]);
    let (serves, fails) = (stage.object.clone(), {
        let mut object = stage.object.clone().unwrap();
        object["status"]["availableReplicas"] = json!(0);
        Some(object)
    });
    for turn in 1..=3 {
        stage.set_pods(vec![ready.clone()]);
        stage.object = serves.clone();
        assert!(matches!(stage.after(1), Progress::Waiting { .. }));
        stage.set_pods(vec![lost.clone()]);
        stage.object = fails.clone();
        let progress = stage.after(1);
        if turn < 3 {
            assert!(matches!(progress, Progress::Waiting { .. }));
            continue;
        }
        let Progress::Failed(failure) = progress else {
            panic!()
        };
        assert_eq!(
            failure.verdict.summary,
            "a pod of Deployment site/web becomes ready and loses it again and again"
        );
        assert!(
            failure.verdict.evidence[0].contains("statuscode: 503"),
            "{failure:?}"
        );
    }
}

#[test]
fn a_container_that_has_just_ended_does_not_flap() {
    let ready = fresh(json!({ "readinessProbe": { "periodSeconds": 1, "failureThreshold": 5 } }));
    let mut ended = ready.clone();
    ended["status"]["conditions"][0]["status"] = json!("False");
    ended["status"]["containerStatuses"][0]["ready"] = json!(false);
    ended["status"]["containerStatuses"][0]["state"] =
        json!({ "terminated": { "exitCode": 4, "reason": "Error" } });
    let mut stage = stage(ready.clone());
    let serves = stage.object.clone().unwrap();
    let mut fails = serves.clone();
    fails["status"]["availableReplicas"] = json!(0);
    for _ in 0..4 {
        stage.set_pods(vec![ready.clone()]);
        stage.object = Some(serves.clone());
        stage.after(1);
        stage.set_pods(vec![ended.clone()]);
        stage.object = Some(fails.clone());
        assert!(matches!(stage.after(1), Progress::Waiting { .. }));
    }
    let verdict = stage.tracker.give_up(stage.now).verdict;
    assert_eq!(verdict.class, FailureClass::CrashLoop, "{verdict:?}");
}

/// One that runs and is not ready, with these fields in its container.
fn unready(container: Value, said: &str) -> Stage {
    let mut pod = fresh(container);
    pod["status"]["conditions"][0]["status"] = json!("False");
    pod["status"]["containerStatuses"][0]["ready"] = json!(false);
    let mut stage = Stage::deployment(vec![pod]);
    stage.set_events(vec![event("a", "Unhealthy", said)]);
    stage
}

#[test]
fn a_probe_of_a_port_that_the_container_does_not_have_is_told_early() {
    let refused = "Readiness probe failed: dial tcp 10.0.0.1:9999: connect: connection refused";
    let probe = |port: Value| json!({ "periodSeconds": 1, "failureThreshold": 3, "httpGet": { "port": port } });
    let ports = json!([{ "name": "main", "containerPort": 8080 }]);
    let cases = [
        // by a name that is not there
        (
            json!({ "ports": ports, "readinessProbe": probe(json!("web")) }),
            5,
        ),
        // a number that is not declared, beside one that is
        (
            json!({ "ports": ports, "readinessProbe": probe(json!(9999)) }),
            20,
        ),
        // the program may be starting
        (
            json!({ "ports": ports, "readinessProbe": probe(json!(8080)) }),
            60,
        ),
        (json!({ "readinessProbe": probe(json!(9999)) }), 60),
    ];
    for (container, seconds) in cases {
        let mut stage = unready(container.clone(), refused);
        let (after, failure) = stage.run_until_failure(100).unwrap();
        assert_eq!(
            (after, failure.verdict.class),
            (seconds, FailureClass::NotReady),
            "{container}"
        );
    }
    // a Service that leads to the pod names another one
    let mut stage = unready(json!({ "readinessProbe": probe(json!(9999)) }), refused);
    stage.around.endpoints = vec![typed(json!({
        "metadata": { "name": "web-1", "labels": { "kubernetes.io/service-name": "web" } }, "addressType": "IPv4",
        "ports": [{ "port": 8080 }],
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": false }, "targetRef": { "kind": "Pod", "uid": "a" } }],
    }))];
    let (after, failure) = stage.run_until_failure(100).unwrap();
    assert_eq!(after, 20);
    assert!(
        failure.verdict.hints[0].contains("name port 8080"),
        "{failure:?}"
    );
    let mut stage = unready(
        json!({ "ports": ports, "readinessProbe": probe(json!("web")) }),
        refused,
    );
    assert_fails(
        &mut stage,
        FailureClass::NotReady,
        5,
        "a pod of Deployment site/web has a readiness probe that asks the port `web`, which container app does not have",
        "the port 8080 (main)",
    );
}

#[test]
fn a_startup_probe_may_take_longer_than_the_progress_deadline() {
    let mut object = deployment();
    object["spec"]["progressDeadlineSeconds"] = json!(60);
    object["status"]["conditions"] = json!([
        { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" }
    ]);
    let template = |failures: i64| {
        json!({ "spec": { "containers": [{ "name": "app",
        "startupProbe": { "periodSeconds": 10, "failureThreshold": failures } }] } })
    };
    object["spec"]["template"] = template(30);
    let mut stage = Stage::deployment(Vec::new());
    stage.object = Some(object.clone());
    assert!(stage.run_until_failure(200).is_none());
    let verdict = stage.tracker.give_up(stage.now).verdict;
    assert!(
        verdict.hints[0].contains("progressDeadlineSeconds"),
        "{verdict:?}"
    );
    object["spec"]["template"] = template(3);
    let mut stage = Stage::deployment(Vec::new());
    stage.object = Some(object);
    assert!(stage.run_until_failure(0).is_some());
}
