//! Tests every class of failure with a virtual clock, on objects as a real server writes them.

use std::sync::Arc;

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{Confidence, FailureClass};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Failure, Observed, Progress, Surroundings, Tracker};

mod containers;
mod early;
mod kinds;
mod probes;
mod revisions;

const BEGAN: &str = "2026-01-01T10:00:00Z";

/// A tracker, its surroundings, and a clock that only the test moves.
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

    /// A Deployment `web` of two replicas at revision 2 with the pods `pods`.
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

    /// Looks every second; returns the failure, and after how many seconds it came.
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
    pod["status"]["conditions"] = json!([
        { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T09:00:00Z" },
    ]);
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

/// One pod in that state: which class, after how many seconds, and what summary and evidence say.
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
