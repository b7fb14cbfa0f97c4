//! Every class of failure under a virtual clock, on objects as a real server writes them.

use std::sync::Arc;

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{Confidence, FailureClass};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Failure, Observed, Progress, Surroundings, Tracker};

const BEGAN: &str = "2026-01-01T10:00:00Z";

/// A tracker, the world around it, and a clock that only the test moves.
struct Stage {
    tracker: Tracker,
    object: Option<Value>,
    has_status: bool,
    around: Surroundings,
    now: Timestamp,
}

impl Stage {
    fn new(object: Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let target = ObjectRef {
            api_version: text("/apiVersion").unwrap().to_owned(),
            kind: text("/kind").unwrap().to_owned(),
            namespace: text("/metadata/namespace").map(|name| name.parse().unwrap()),
            name: text("/metadata/name").unwrap().parse().unwrap(),
        };
        let now: Timestamp = BEGAN.parse().unwrap();
        Self {
            tracker: Tracker::new(target, now),
            object: Some(object),
            has_status: true,
            around: Surroundings::default(),
            now,
        }
    }

    /// A Deployment `web` of two replicas at revision 2, whose pods are `pods`.
    fn deployment(pods: Vec<Value>) -> Self {
        let mut stage = Self::new(deployment());
        stage.around.replica_sets = vec![replica_set("old", "1"), replica_set("new", "2")];
        stage.set_pods(pods);
        stage
    }

    fn set_pods(&mut self, pods: Vec<Value>) {
        self.around.pods = pods.into_iter().map(typed).collect();
    }

    fn set_events(&mut self, events: Vec<Value>) {
        self.around.events = events.into_iter().map(typed).collect();
    }

    fn look(&mut self) -> Progress {
        let observed = Observed {
            object: self.object.as_ref(),
            has_status: self.has_status,
            around: &self.around,
        };
        self.tracker.decide(&observed, self.now)
    }

    fn after(&mut self, seconds: i64) -> Progress {
        self.now += SignedDuration::from_secs(seconds);
        self.look()
    }

    /// Looks every second; the failure, and after how many seconds it came.
    fn run_until_failure(&mut self, at_most: i64) -> Option<(i64, Failure)> {
        for second in 0..=at_most {
            let progress = if second == 0 {
                self.look()
            } else {
                self.after(1)
            };
            if let Progress::Failed(failure) = progress {
                return Some((second, *failure));
            }
        }
        None
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "site", "uid": "d", "generation": 2,
            "annotations": { "deployment.kubernetes.io/revision": "2" },
        },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": {} },
        "status": { "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2 },
    })
}

fn serving() -> Value {
    let mut object = deployment();
    object["status"]["readyReplicas"] = json!(2);
    object["status"]["availableReplicas"] = json!(2);
    object
}

fn replica_set<T: DeserializeOwned>(uid: &str, revision: &str) -> Arc<T> {
    typed(json!({
        "metadata": {
            "name": format!("web-{uid}"), "namespace": "site", "uid": uid,
            "ownerReferences": [owner("Deployment", "d")],
            "annotations": { "deployment.kubernetes.io/revision": revision },
        },
    }))
}

fn owner(kind: &str, uid: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": kind, "name": uid, "uid": uid, "controller": true })
}

/// A pod of that ReplicaSet with one container `app`, whose status is merged in.
fn pod(name: &str, set: &str, container: Value) -> Value {
    let mut status = json!({
        "name": "app", "image": "registry.example.com/app:1", "imageID": "", "ready": false, "restartCount": 0,
    });
    status
        .as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    json!({
        "metadata": { "name": name, "namespace": "site", "uid": name, "ownerReferences": [owner("ReplicaSet", set)] },
        "spec": { "containers": [{ "name": "app", "readinessProbe": { "periodSeconds": 5, "failureThreshold": 3 } }] },
        "status": { "phase": "Pending", "conditions": [], "containerStatuses": [status] },
    })
}

fn ready_pod(name: &str, set: &str) -> Value {
    let mut pod = pod(
        name,
        set,
        json!({ "ready": true, "state": { "running": {} } }),
    );
    pod["status"]["phase"] = json!("Running");
    pod["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
    pod
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "state": { "waiting": { "reason": reason, "message": message } } })
}

fn crashed(restarts: i32, exit_code: i32, reason: &str) -> Value {
    json!({
        "restartCount": restarts,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container" } },
        "lastState": { "terminated": {
            "exitCode": exit_code, "reason": reason,
            "startedAt": "2026-01-01T10:00:01Z", "finishedAt": "2026-01-01T10:00:02Z",
        }},
    })
}

fn event(uid: &str, reason: &str, message: &str) -> Value {
    json!({
        "metadata": { "name": format!("{uid}.{reason}"), "namespace": "site" },
        "involvedObject": { "uid": uid }, "type": "Warning", "reason": reason, "message": message,
        "lastTimestamp": "2026-01-01T10:00:30Z",
    })
}

/// One pod in that state: which class, after how many seconds, what the summary and the evidence say.
#[track_caller]
fn assert_fails(stage: &mut Stage, class: FailureClass, after: i64, summary: &str, seen: &str) {
    let Some((seconds, failure)) = stage.run_until_failure(300) else {
        panic!("it does not fail")
    };
    let verdict = &failure.verdict;
    assert_eq!((verdict.class, seconds), (class, after), "{verdict:?}");
    assert_eq!(verdict.summary, summary);
    assert!(
        verdict.evidence.iter().any(|line| line.contains(seen)),
        "{verdict:?}"
    );
    assert!(!verdict.hints.is_empty());
}

#[test]
fn a_deployment_is_ready_when_the_new_revision_serves_and_the_old_is_gone() {
    let mut stage = Stage::deployment(vec![ready_pod("a", "new"), ready_pod("b", "new")]);
    stage.object = Some(serving());
    assert!(matches!(stage.look(), Progress::Ready));
}

#[test]
fn without_a_probe_a_start_is_no_proof() {
    let unprobed = |restarts: i32| {
        let mut pod = ready_pod("a", "new");
        pod["spec"]["containers"][0]
            .as_object_mut()
            .unwrap()
            .remove("readinessProbe");
        pod["status"]["conditions"][0]["lastTransitionTime"] = json!(BEGAN);
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
        pod
    };
    let mut stage = Stage::deployment(vec![unprobed(0)]);
    stage.object = Some(serving());
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    assert!(matches!(stage.after(1), Progress::Waiting { .. }));
    // It crashed and was started again between two looks.
    stage.set_pods(vec![unprobed(1)]);
    assert!(matches!(stage.after(1), Progress::Waiting { .. }));
    assert!(matches!(stage.after(1), Progress::Waiting { .. }));
    assert!(matches!(stage.after(1), Progress::Ready));
    // One that has run for long is ready at the first look.
    let mut old = Stage::deployment(vec![unprobed(0)]);
    old.object = Some(serving());
    old.now += SignedDuration::from_secs(5);
    assert!(matches!(old.look(), Progress::Ready));
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
    assert_eq!(why, "2/2 ready; 1 of the old revision still running");
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
            "which the node does not have and may not pull",
        ),
        (
            "InvalidImageName",
            "couldn't parse image name",
            FailureClass::ImagePull,
            0,
            "which is no image reference",
        ),
        (
            "ErrImagePull",
            "pull access denied, repository does not exist or may require authorization",
            FailureClass::ImagePull,
            20,
            "may not pull the image",
        ),
        (
            "ErrImagePull",
            "unexpected status: 401 Unauthorized",
            FailureClass::ImagePull,
            20,
            "may not pull the image",
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
            "trust the authority",
        ),
        (
            "http: server gave HTTP response to HTTPS client",
            "plain HTTP",
        ),
        (
            "dial tcp: lookup registry.example.com: no such host",
            "resolve it",
        ),
        ("429 Too Many Requests", "limits how often"),
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
        "container app of Deployment site/web crashes at start (exit code 3)"
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
            "ends with success again and again",
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
        "container app of Deployment site/web needs something that is not there: configmap \"settings\" not found",
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
        "container migrate of Deployment site/web crashes at start (exit code 1)"
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
        &format!("a pod of Deployment site/web fits on no node: {message}"),
        message,
    );
    let passing = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.";
    let mut stage = Stage::deployment(vec![unschedulable(passing)]);
    assert_eq!(stage.run_until_failure(100).unwrap().0, 60);
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
        &format!("Deployment site/web gets no pods: {quota}"),
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
        "Deployment site/web was removed while it was awaited"
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
        ("policy/v1", "PodDisruptionBudget"),
    ] {
        let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "a", "namespace": "site" } });
        assert!(
            matches!(Stage::new(object).look(), Progress::Ready),
            "{kind}"
        );
    }
}
