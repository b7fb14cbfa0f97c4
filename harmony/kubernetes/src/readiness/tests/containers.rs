//! What keeps a pod and its containers from starting.

use super::*;

#[test]
fn a_missing_image_fails_after_its_grace_and_keeps_its_first_words() {
    let text = "rpc error: code = NotFound desc = failed to resolve reference \"registry.example.com/app:1\": registry.example.com/app:1: not found";
    let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ErrImagePull", text))]);
    assert!(matches!(stage.after(5), Progress::Waiting { .. }));
    // What kubelets say from then on names no cause.
    stage.set_pods(vec![pod(
        "a",
        "new",
        waiting(
            "ImagePullBackOff",
            "Back-off pulling image \"registry.example.com/app:1\"",
        ),
    )]);
    assert_fails(
        &mut stage,
        FailureClass::ImageNotFound,
        20,
        "container app of Deployment site/web needs the image `registry.example.com/app:1`, which does not exist",
        "code = NotFound",
    );
}

#[test]
fn an_image_that_appears_in_time_is_no_failure() {
    let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ErrImagePull", "not found"))]);
    assert!(stage.run_until_failure(19).is_none());
    stage.set_pods(vec![ready_pod("a", "new"), ready_pod("b", "new")]);
    stage.object = Some(serving());
    assert!(matches!(stage.after(1), Progress::Ready));
}

#[test]
fn the_ways_not_to_get_an_image_are_told_apart() {
    let cases = [
        (
            "ErrImageNeverPull",
            "image is not present with pull policy of Never",
            FailureClass::ImageNotFound,
            0,
            "which is not on the node and must not be pulled",
        ),
        (
            "InvalidImageName",
            "couldn't parse image name",
            FailureClass::ImagePull,
            0,
            "has the invalid image reference",
        ),
        (
            "ErrImagePull",
            "pull access denied, repository does not exist or may require authorization",
            FailureClass::ImagePull,
            20,
            "is not allowed to pull the image",
        ),
        (
            "ErrImagePull",
            "unexpected status: 401 Unauthorized",
            FailureClass::ImagePull,
            20,
            "is not allowed to pull the image",
        ),
        (
            "ErrImagePull",
            "dial tcp: lookup registry.example.com: no such host",
            FailureClass::ImagePull,
            30,
            "cannot pull the image",
        ),
        (
            "ImagePullBackOff",
            "Back-off pulling image \"a\": ErrImagePull: manifest unknown",
            FailureClass::ImageNotFound,
            20,
            "which does not exist",
        ),
    ];
    for (reason, message, class, after, what) in cases {
        let mut stage = Stage::deployment(vec![pod("a", "new", waiting(reason, message))]);
        let (seconds, failure) = stage.run_until_failure(100).unwrap();
        assert_eq!(
            (failure.verdict.class, seconds),
            (class, after),
            "{message}"
        );
        assert!(
            failure.verdict.summary.contains(what),
            "{}",
            failure.verdict.summary
        );
    }
}

#[test]
fn why_a_registry_did_not_answer_decides_what_to_do() {
    // The digest holds status numbers, which say nothing.
    let image = "registry.example.com/app@sha256:8401f403e429";
    let cases = [
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "trust the certificate authority",
        ),
        (
            "http: server gave HTTP response to HTTPS client",
            "plain HTTP",
        ),
        (
            "dial tcp: lookup registry.example.com: no such host",
            "resolve it",
        ),
        ("429 Too Many Requests", "limits the rate"),
        (
            "dial tcp 192.0.2.7:443: connect: connection refused",
            "listens",
        ),
        ("the wire is cut", "address, DNS, certificate, rate limit"),
    ];
    for (why, hint) in cases {
        let message = format!("failed to resolve reference \"{image}\": {why}");
        let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ErrImagePull", &message))]);
        let (_, failure) = stage.run_until_failure(100).unwrap();
        let verdict = &failure.verdict;
        assert!(
            verdict.summary.contains("cannot pull"),
            "{}",
            verdict.summary
        );
        assert!(verdict.hints[0].contains(hint), "{:?}", verdict.hints);
    }
}

#[test]
fn a_crash_at_start_tells_its_exit_code_and_whose_log_to_read() {
    let mut stage = Stage::deployment(vec![pod("a", "new", crashed(1, 3, "Error"))]);
    assert!(
        stage.run_until_failure(10).is_none(),
        "it may wait for something that is not up yet"
    );
    stage.set_pods(vec![pod("a", "new", crashed(2, 3, "Error"))]);
    let Progress::Failed(failure) = stage.after(1) else {
        panic!()
    };
    let verdict = &failure.verdict;
    assert_eq!(verdict.class, FailureClass::CrashLoop);
    assert_eq!(verdict.confidence, Confidence::AfterGrace);
    assert_eq!(
        verdict.summary,
        "container app of Deployment site/web keeps crashing (exit code 3)"
    );
    assert!(
        verdict.evidence[0].contains("exit code 3, 2 restarts"),
        "{verdict:?}"
    );
    let culprit = failure.culprit.unwrap();
    assert_eq!(
        (culprit.pod.as_str(), culprit.container.as_deref()),
        ("a", Some("app"))
    );
}

#[test]
fn a_container_that_recovered_is_forgiven() {
    let mut stage = Stage::deployment(vec![pod("a", "new", crashed(1, 1, "Error"))]);
    assert!(matches!(stage.after(1), Progress::Waiting { .. }));
    let running = pod(
        "a",
        "new",
        json!({ "restartCount": 1, "state": { "running": { "startedAt": BEGAN } } }),
    );
    stage.set_pods(vec![running]);
    assert!(stage.run_until_failure(60).is_none());
}

#[test]
fn ends_of_a_container_are_told_apart() {
    let cases = [
        (
            crashed(2, 137, "OOMKilled"),
            FailureClass::OutOfMemory,
            0,
            "is killed because it uses more memory than its limit",
        ),
        (
            crashed(2, 0, "Completed"),
            FailureClass::CrashLoop,
            0,
            "keeps exiting with code 0",
        ),
        (
            crashed(1, 127, "Error"),
            FailureClass::ContainerStart,
            0,
            "cannot be started (exit code 127)",
        ),
        (
            crashed(1, 128, "StartError"),
            FailureClass::ContainerStart,
            15,
            "cannot be started (exit code 128)",
        ),
        (
            waiting(
                "RunContainerError",
                "exec: \"/nope\": no such file or directory",
            ),
            FailureClass::ContainerStart,
            0,
            "cannot be started",
        ),
        (
            waiting("CreateContainerError", "context deadline exceeded"),
            FailureClass::ContainerStart,
            15,
            "cannot be started",
        ),
        (
            waiting(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
            ),
            FailureClass::ContainerStart,
            15,
            "cannot be configured",
        ),
    ];
    for (container, class, after, what) in cases {
        let mut stage = Stage::deployment(vec![pod("a", "new", container)]);
        let summary = format!("container app of Deployment site/web {what}");
        assert_fails(&mut stage, class, after, &summary, "pod a, container app: ");
    }
}

#[test]
fn a_missing_reference_fails_and_a_slow_cache_does_not() {
    let mut stage = Stage::deployment(vec![pod(
        "a",
        "new",
        waiting(
            "CreateContainerConfigError",
            "configmap \"settings\" not found",
        ),
    )]);
    assert_fails(
        &mut stage,
        FailureClass::MissingReference,
        15,
        "container app of Deployment site/web refers to something that does not exist: configmap \"settings\" not found",
        "CreateContainerConfigError: configmap \"settings\" not found",
    );
    let slow = waiting(
        "CreateContainerConfigError",
        "failed to sync configmap cache: timed out waiting for the condition",
    );
    let mut stage = Stage::deployment(vec![pod("a", "new", slow)]);
    assert!(stage.run_until_failure(100).is_none());
}

#[test]
fn init_containers_count() {
    let mut broken = pod("a", "new", waiting("PodInitializing", ""));
    let mut init = crashed(2, 1, "Error");
    init.as_object_mut().unwrap().extend(
        json!({ "name": "migrate", "image": "m", "imageID": "", "ready": false })
            .as_object()
            .unwrap()
            .clone(),
    );
    broken["status"]["initContainerStatuses"] = json!([init]);
    let mut stage = Stage::deployment(vec![broken]);
    let (_, failure) = stage.run_until_failure(0).unwrap();
    assert_eq!(
        failure.verdict.summary,
        "container migrate of Deployment site/web keeps crashing (exit code 1)"
    );
}

#[test]
fn a_pod_that_fits_nowhere_fails_with_the_schedulers_words() {
    let unschedulable = |message: &str| {
        let mut pod = pod("a", "new", json!({}));
        pod["status"] = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }
        ]});
        pod
    };
    let message = "0/1 nodes are available: 1 Insufficient memory.";
    let mut stage = Stage::deployment(vec![unschedulable(message)]);
    let Progress::Waiting { why } = stage.look() else {
        panic!()
    };
    assert_eq!(why, "0/2 ready; pod a: Unschedulable");
    assert_fails(
        &mut stage,
        FailureClass::Unschedulable,
        15,
        &format!("a pod of Deployment site/web cannot be scheduled: {message}"),
        message,
    );
    let passing = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.";
    let mut stage = Stage::deployment(vec![unschedulable(passing)]);
    assert_eq!(stage.run_until_failure(100).unwrap().0, 60);
    let missing = "0/1 nodes are available: persistentvolumeclaim \"data\" not found.";
    let (_, failure) = Stage::deployment(vec![unschedulable(missing)])
        .run_until_failure(100)
        .unwrap();
    assert_eq!(failure.verdict.class, FailureClass::MissingReference);
    // An autoscaler is at work.
    let mut stage = Stage::deployment(vec![unschedulable(message)]);
    stage.set_events(vec![event(
        "a",
        "TriggeredScaleUp",
        "pod triggered scale-up",
    )]);
    assert!(stage.run_until_failure(200).is_none());
}

#[test]
fn a_volume_that_cannot_be_mounted_is_told_by_its_event() {
    let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
    stage.set_events(vec![event(
        "a",
        "FailedMount",
        "MountVolume.SetUp failed for volume \"c\" : secret \"tls\" not found",
    )]);
    assert_fails(
        &mut stage,
        FailureClass::MissingReference,
        20,
        "a pod of Deployment site/web cannot mount a volume: MountVolume.SetUp failed for volume \"c\" : secret \"tls\" not found",
        "FailedMount",
    );
}

/// The events of one pod, each a second after the one before.
fn mount_events(messages: &[&str]) -> Vec<Value> {
    let events = messages.iter().enumerate().map(|(second, message)| {
        let mut event = event("a", "FailedMount", message);
        event["lastTimestamp"] = json!(format!("2026-01-01T10:00:{second:02}Z"));
        event
    });
    events.collect()
}

const NO_SECRET: &str = "MountVolume.SetUp failed for volume \"tls\" : secret \"tls\" not found";

/// As kubelets write them while they are busy.
const PASSING_MOUNTS: [&str; 5] = [
    "MountVolume.SetUp failed for volume \"tls\" : failed to sync secret cache: timed out waiting for the condition",
    "MountVolume.SetUp failed for volume \"c\" : failed to sync configmap cache: timed out waiting for the condition",
    "MountVolume.SetUp failed for volume \"tls\" : object \"site\"/\"tls\" not registered",
    "MountVolume.SetUp failed for volume \"kube-api-access-x7k2p\" : configmap \"kube-root-ca.crt\" not found",
    "Unable to attach or mount volumes: unmounted volumes=[tls], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition",
];

#[test]
fn the_event_that_names_what_is_missing_wins_over_those_of_a_busy_kubelet() {
    for passing in PASSING_MOUNTS {
        for messages in [[NO_SECRET, passing], [passing, NO_SECRET]] {
            let mut stage =
                Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
            // The passing one may be all there is at the first look.
            stage.set_events(mount_events(&[passing]));
            assert!(matches!(stage.look(), Progress::Waiting { .. }));
            stage.set_events(mount_events(&messages));
            assert_fails(
                &mut stage,
                FailureClass::MissingReference,
                20,
                &format!("a pod of Deployment site/web cannot mount a volume: {NO_SECRET}"),
                NO_SECRET,
            );
        }
    }
}

#[test]
fn a_busy_kubelet_alone_is_no_missing_reference() {
    for passing in PASSING_MOUNTS {
        let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
        stage.set_events(mount_events(&[passing]));
        assert!(stage.run_until_failure(110).is_none(), "{passing}");
        let verdict = stage.tracker.give_up(stage.now).verdict;
        assert_eq!(verdict.class, FailureClass::NotReady, "{verdict:?}");
        assert!(verdict.summary.ends_with(passing), "{verdict:?}");
    }
    let slow = waiting(
        "CreateContainerConfigError",
        "object \"site\"/\"settings\" not registered",
    );
    let mut stage = Stage::deployment(vec![pod("a", "new", slow)]);
    assert!(stage.run_until_failure(110).is_none());
}

#[test]
fn other_ways_to_miss_something_count_and_the_latest_of_equals_is_told() {
    for missing in [
        "MountVolume.SetUp failed for volume \"c\" : references non-existent secret key: tls.crt",
        "MountVolume.SetUp failed for volume \"c\" : configmap references non-existent config key: a",
        "MountVolume.SetUp failed for volume \"h\" : hostPath type check failed: /srv is not a directory",
    ] {
        let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
        stage.set_events(mount_events(&[NO_SECRET, missing, PASSING_MOUNTS[0]]));
        let summary = format!("a pod of Deployment site/web cannot mount a volume: {missing}");
        assert_fails(
            &mut stage,
            FailureClass::MissingReference,
            20,
            &summary,
            missing,
        );
    }
    let held = "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) web-old";
    let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
    stage.set_events(vec![event("a", "FailedAttachVolume", held)]);
    assert_eq!(stage.run_until_failure(100).unwrap().0, 60);
}

#[test]
fn a_volume_that_was_mounted_in_the_end_is_no_failure_while_the_image_is_pulled() {
    let mut pulling = event(
        "a",
        "Pulling",
        "Pulling image \"registry.example.com/app:1\"",
    );
    pulling["lastTimestamp"] = json!("2026-01-01T10:00:09Z");
    let mut events = mount_events(&[NO_SECRET]);
    events.push(pulling);
    let mut stage = Stage::deployment(vec![pod("a", "new", waiting("ContainerCreating", ""))]);
    stage.set_events(events);
    assert!(stage.run_until_failure(110).is_none());

    let mut set_up = pod("a", "new", waiting("ContainerCreating", ""));
    set_up["status"]["conditions"] =
        json!([{ "type": "PodReadyToStartContainers", "status": "True" }]);
    let mut stage = Stage::deployment(vec![set_up]);
    stage.set_events(vec![event(
        "a",
        "FailedCreatePodSandBox",
        "network is not ready",
    )]);
    assert!(stage.run_until_failure(110).is_none());
}

#[test]
fn refused_pods_are_told_by_the_replica_set() {
    let refused = |message: &str| {
        let mut stage = Stage::deployment(Vec::new());
        let set: Arc<k8s_openapi::api::apps::v1::ReplicaSet> = replica_set("new", "2");
        let mut set = Arc::unwrap_or_clone(set);
        set.status = serde_json::from_value(json!({ "replicas": 0, "conditions": [
            { "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message }
        ]}))
        .unwrap();
        stage.around.replica_sets = vec![Arc::new(set), replica_set("old", "1")];
        stage
    };
    let quota = "pods \"web-1\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1";
    assert_fails(
        &mut refused(quota),
        FailureClass::PodsRefused,
        5,
        &format!("Deployment site/web cannot create pods: {quota}"),
        "exceeded quota",
    );
    // The old pods hold the quota and are about to go.
    let mut stage = refused(quota);
    stage.set_pods(vec![ready_pod("a", "old")]);
    assert!(stage.run_until_failure(100).is_none());
    let account = "pods \"web-1\" is forbidden: error looking up service account site/web: serviceaccount \"web\" not found";
    let (_, failure) = refused(account).run_until_failure(100).unwrap();
    assert!(failure.verdict.hints[0].contains("ServiceAccount"));
}

#[test]
fn a_readiness_probe_that_never_passes_fails_after_thrice_its_budget_or_a_minute() {
    let mut running = pod(
        "a",
        "new",
        json!({ "state": { "running": { "startedAt": BEGAN } } }),
    );
    running["status"]["phase"] = json!("Running");
    running["status"]["conditions"] = json!([{ "type": "Ready", "status": "False" }]);
    let mut stage = Stage::deployment(vec![running.clone()]);
    stage.set_events(vec![event(
        "a",
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 500",
    )]);
    assert_fails(
        &mut stage,
        FailureClass::NotReady,
        60,
        "a pod of Deployment site/web runs but is not ready: Readiness probe failed: HTTP probe failed with statuscode: 500",
        "statuscode: 500",
    );
    running["spec"]["containers"][0]["readinessProbe"]["failureThreshold"] = json!(10);
    let mut stage = Stage::deployment(vec![running]);
    stage.set_events(vec![event("a", "Unhealthy", "Readiness probe failed")]);
    assert_eq!(stage.run_until_failure(300).unwrap().0, 150);
}

#[test]
fn a_container_that_its_probe_kills_is_told_apart_from_a_crash() {
    let mut running = pod(
        "a",
        "new",
        json!({ "restartCount": 2, "state": { "running": { "startedAt": BEGAN } } }),
    );
    running["status"]["phase"] = json!("Running");
    let mut stage = Stage::deployment(vec![running]);
    stage.set_events(vec![
        event(
            "a",
            "Killing",
            "Container app failed liveness probe, will be restarted",
        ),
        event(
            "a",
            "Unhealthy",
            "Liveness probe failed: connection refused",
        ),
    ]);
    let (_, failure) = stage.run_until_failure(0).unwrap();
    assert_eq!(failure.verdict.class, FailureClass::NotReady);
    assert!(
        failure.verdict.evidence[0].contains("connection refused"),
        "{:?}",
        failure.verdict
    );
}
