//! What is ready is told differently by each kind.

use super::*;

#[test]
fn a_stateful_set_counts_its_update_revision_only() {
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "nats", "namespace": "site", "uid": "s", "generation": 2 },
        "spec": { "replicas": 1, "serviceName": "nats", "selector": {}, "template": {} },
        "status": {
            "observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 0,
            "currentRevision": "nats-1", "updateRevision": "nats-2",
        },
    });
    let of_revision = |hash: &str, container: Value| {
        let mut pod = pod("nats-0", "s", container);
        pod["metadata"]["labels"] = json!({ "controller-revision-hash": hash });
        pod
    };
    let mut stage = Stage::new(set.clone());
    stage.set_pods(vec![of_revision("nats-1", crashed(5, 1, "Error"))]);
    assert!(stage.run_until_failure(30).is_none());
    assert!(
        stage.tracker.give_up(stage.now).verdict.hints[0].contains("nats-0 of the old revision")
    );
    stage.set_pods(vec![of_revision("nats-2", crashed(2, 1, "Error"))]);
    assert!(matches!(stage.after(1), Progress::Failed(_)));
    let mut ready = set;
    ready["status"]["updatedReplicas"] = json!(1);
    assert!(matches!(Stage::new(ready).look(), Progress::Ready));
}

#[test]
fn a_daemon_set_counts_its_newest_revision_only() {
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": "log", "namespace": "site", "uid": "d", "generation": 1 },
        "spec": { "selector": {}, "template": {} },
        "status": {
            "observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberMisscheduled": 0,
            "numberReady": 1, "numberAvailable": 1, "updatedNumberScheduled": 0,
        },
    });
    let revision = |hash: &str, number: i64| {
        typed(json!({
            "metadata": { "name": hash, "ownerReferences": [owner("DaemonSet", "d")],
                "labels": { "controller-revision-hash": hash } },
            "revision": number,
        }))
    };
    let mut stage = Stage::new(set);
    stage.around.revisions = vec![revision("one", 1), revision("two", 2)];
    let mut old = pod("a", "d", waiting("ErrImageNeverPull", "no"));
    old["metadata"]["labels"] = json!({ "controller-revision-hash": "one" });
    stage.set_pods(vec![old.clone()]);
    assert!(stage.run_until_failure(10).is_none());
    old["metadata"]["labels"] = json!({ "controller-revision-hash": "two" });
    stage.set_pods(vec![old]);
    assert!(matches!(stage.after(1), Progress::Failed(_)));
}

fn set(kind: &str, spec: Value, status: Value) -> Stage {
    Stage::new(json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "db", "namespace": "site", "uid": "s", "generation": 1 },
        "spec": spec, "status": status,
    }))
}

#[test]
fn what_a_set_keeps_back_as_its_spec_asks_is_told() {
    let status = json!({
        "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "updatedReplicas": 1,
        "updateRevision": "db-2",
    });
    let strategy = |strategy: Value| {
        let spec =
            json!({ "replicas": 3, "selector": {}, "template": {}, "updateStrategy": strategy });
        let mut stage = set("StatefulSet", spec, status.clone());
        let of_revision = |name: &str, hash: &str| {
            let mut pod = ready_pod(name, "s");
            pod["metadata"]["labels"] = json!({ "controller-revision-hash": hash });
            pod
        };
        stage.set_pods(vec![
            of_revision("db-0", "db-1"),
            of_revision("db-1", "db-1"),
            of_revision("db-2", "db-2"),
        ]);
        stage
    };
    for (asked, note) in [
        (
            json!({ "rollingUpdate": { "partition": 2 } }),
            "keeps 2 of its pods at the old revision, as its `partition` asks",
        ),
        (json!({ "type": "OnDelete" }), "update strategy `OnDelete`"),
    ] {
        let mut stage = strategy(asked);
        assert!(matches!(stage.look(), Progress::Ready));
        assert!(
            stage.tracker.note().unwrap().contains(note),
            "{:?}",
            stage.tracker.note()
        );
    }
    assert!(matches!(
        strategy(json!({})).look(),
        Progress::Waiting { .. }
    ));

    let spec = json!({ "selector": {}, "template": {}, "updateStrategy": { "type": "OnDelete" } });
    let counts = |wanted: i64, updated: i64| {
        json!({ "observedGeneration": 1, "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted,
            "numberMisscheduled": 0, "numberReady": wanted, "numberAvailable": wanted, "updatedNumberScheduled": updated })
    };
    for (status, note) in [
        (counts(2, 0), "OnDelete"),
        (counts(0, 0), "runs on no node"),
    ] {
        let mut stage = set("DaemonSet", spec.clone(), status);
        assert!(matches!(stage.look(), Progress::Ready));
        assert!(
            stage.tracker.note().unwrap().contains(note),
            "{:?}",
            stage.tracker.note()
        );
    }
}

#[test]
fn a_replica_set_without_a_deployment_counts_its_pods() {
    let status = |available: i64| json!({ "observedGeneration": 1, "replicas": 1, "availableReplicas": available });
    let spec = json!({ "replicas": 1, "selector": {} });
    assert!(matches!(
        set("ReplicaSet", spec.clone(), status(1)).look(),
        Progress::Ready
    ));
    let mut stage = set("ReplicaSet", spec, status(0));
    let mut broken = pod("a", "s", waiting("ErrImageNeverPull", "not there"));
    broken["metadata"]["ownerReferences"] = json!([owner("ReplicaSet", "s")]);
    stage.set_pods(vec![broken]);
    assert!(stage.run_until_failure(0).is_some());
}

#[test]
fn a_job_whose_runs_fail_says_so_when_time_is_up() {
    let mut stage = Stage::new(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate", "namespace": "site", "uid": "j" },
        "spec": { "template": {} }, "status": { "active": 1, "failed": 2 },
    }));
    let mut ended = pod(
        "a",
        "j",
        json!({ "state": { "terminated": { "exitCode": 3, "reason": "Error" } } }),
    );
    ended["metadata"]["ownerReferences"] = json!([owner("Job", "j")]);
    ended["status"]["phase"] = json!("Failed");
    stage.set_pods(vec![ended]);
    assert!(
        stage.run_until_failure(100).is_none(),
        "the Job decides how often it tries"
    );
    let verdict = stage.tracker.give_up(stage.now).verdict;
    assert_eq!(verdict.class, FailureClass::JobFailed);
    let mut over = stage.object.clone().unwrap();
    over["status"]["conditions"] = json!([{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often" }]);
    assert_eq!(
        verdict.summary,
        "Job site/migrate has not succeeded: its runs fail (exit code 3)"
    );
    stage.object = Some(over);
    let (_, failure) = stage.run_until_failure(0).unwrap();
    assert_eq!(
        failure.verdict.summary,
        "Job site/migrate failed: too often"
    );

    let mut suspended = Stage::new(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate", "namespace": "site" },
        "spec": { "suspend": true, "template": {} },
    }));
    assert!(matches!(suspended.look(), Progress::Ready));
    assert!(suspended.tracker.note().unwrap().contains("suspended"));

    let mut suspended = Stage::new(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "report", "namespace": "site" },
        "spec": { "suspend": true, "schedule": "@daily", "jobTemplate": {} },
    }));
    assert!(matches!(suspended.look(), Progress::Ready));
    assert!(suspended.tracker.note().unwrap().contains("starts no Job"));
}

#[test]
fn a_job_is_ready_when_it_is_complete() {
    let job = |conditions: Value| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate", "namespace": "site", "uid": "j" },
            "spec": { "template": {} }, "status": { "active": 1, "failed": 1, "conditions": conditions },
        })
    };
    let mut running = Stage::new(job(json!([])));
    let Progress::Waiting { why } = running.look() else {
        panic!()
    };
    assert_eq!(why, "0/1 done, 1 failed");
    assert!(matches!(
        Stage::new(job(json!([{ "type": "Complete", "status": "True" }]))).look(),
        Progress::Ready
    ));
    for condition in ["Failed", "FailureTarget"] {
        let conditions = json!([{ "type": condition, "status": "True", "reason": "BackoffLimitExceeded",
            "message": "Job has reached the specified backoff limit" }]);
        assert_fails(
            &mut Stage::new(job(conditions)),
            FailureClass::JobFailed,
            0,
            "Job site/migrate failed: Job has reached the specified backoff limit",
            "BackoffLimitExceeded",
        );
    }
}

#[test]
fn a_service_needs_endpoints_when_it_selects_pods() {
    let service = |selector: Value| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "site" },
            "spec": { "selector": selector } })
    };
    assert!(matches!(
        Stage::new(service(json!({}))).look(),
        Progress::Ready
    ));
    let mut stage = Stage::new(service(json!({ "app": "web" })));
    let Progress::Waiting { why } = stage.look() else {
        panic!()
    };
    assert_eq!(why, "no pod has its labels app=web");
    let slice = |ready: bool| {
        typed(json!({
            "metadata": { "labels": { "kubernetes.io/service-name": "web" } }, "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }],
        }))
    };
    stage.around.endpoints = vec![slice(false)];
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    stage.around.endpoints = vec![slice(true)];
    assert!(matches!(stage.look(), Progress::Ready));
}

#[test]
fn a_claim_that_waits_for_its_first_pod_is_not_waited_for() {
    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "site", "uid": "c" }, "status": { "phase": "Pending" } });
    let mut stage = Stage::new(claim.clone());
    stage.set_events(vec![event(
        "c",
        "WaitForFirstConsumer",
        "waiting for first consumer",
    )]);
    assert!(matches!(stage.look(), Progress::Ready));
    let mut stage = Stage::new(claim);
    stage.set_events(vec![event(
        "c",
        "FailedBinding",
        "no persistent volumes available and no storage class is set",
    )]);
    let (seconds, failure) = stage.run_until_failure(100).unwrap();
    assert_eq!(
        (seconds, failure.verdict.class),
        (30, FailureClass::MissingReference)
    );
}

#[test]
fn custom_resources_follow_the_conventions() {
    let resource = |status: Value| {
        json!({ "apiVersion": "example.com/v1", "kind": "Thing",
            "metadata": { "name": "a", "namespace": "site", "generation": 2 }, "status": status })
    };
    let ready = |status: Value, has_status: bool| {
        let mut stage = Stage::new(resource(status));
        stage.has_status = has_status;
        matches!(stage.look(), Progress::Ready)
    };
    assert!(!ready(json!({}), true), "nobody has looked at it");
    assert!(ready(json!({}), false), "it has nothing to say");
    assert!(!ready(
        json!({ "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": "True" }] }),
        true
    ));
    assert!(!ready(
        json!({ "observedGeneration": 2, "conditions": [{ "type": "Ready", "status": "False" }] }),
        true
    ));
    assert!(!ready(
        json!({ "conditions": [{ "type": "Reconciling", "status": "True" }] }),
        true
    ));
    assert!(ready(
        json!({ "observedGeneration": 2, "conditions": [{ "type": "Ready", "status": "True" }] }),
        true
    ));
    assert!(ready(json!({ "phase": "Known" }), true));
    let stalled = resource(
        json!({ "conditions": [{ "type": "Stalled", "status": "True", "message": "no chart" }] }),
    );
    assert!(Stage::new(stalled).run_until_failure(0).is_some());
}

#[test]
fn a_definition_waits_until_it_is_established() {
    let definition = |conditions: Value| {
        json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "things.example.com" },
            "spec": { "group": "example.com", "names": { "kind": "Thing", "plural": "things" }, "scope": "Namespaced", "versions": [] },
            "status": { "conditions": conditions } })
    };
    let state = |kind: &str, status: &str| json!([{ "type": kind, "status": status, "reason": "r", "message": "m", "lastTransitionTime": BEGAN }]);
    assert!(matches!(
        Stage::new(definition(json!([]))).look(),
        Progress::Waiting { .. }
    ));
    assert!(matches!(
        Stage::new(definition(state("Established", "True"))).look(),
        Progress::Ready
    ));
    assert!(matches!(
        Stage::new(definition(state("NamesAccepted", "False"))).look(),
        Progress::Failed(_)
    ));
}

#[test]
fn what_has_no_readiness_is_ready_at_once() {
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("batch/v1", "CronJob"),
    ] {
        let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "a", "namespace": "site" } });
        assert!(
            matches!(Stage::new(object).look(), Progress::Ready),
            "{kind}"
        );
    }
}
