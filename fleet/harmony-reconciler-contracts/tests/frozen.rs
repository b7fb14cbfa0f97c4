//! What released versions wrote is read by every later version. The files are never changed; a new release adds a folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use harmony_reconciler_contracts::{
    DesiredState, FailureReason, ObservedState, Phase, ReconcileScore, StoredDeployment,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads the file of each version, and checks that writing it again loses nothing.
fn each_version<T: DeserializeOwned + Serialize>(file: &str) -> Vec<T> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen");
    let mut read = Vec::new();
    for version in folder.read_dir().unwrap() {
        let path = version.unwrap().path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let message: T = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::to_value(&message).unwrap(),
            value,
            "{}",
            path.display()
        );
        read.push(message);
    }
    assert!(!read.is_empty());
    read
}

#[test]
fn desired_states() {
    for desired in each_version::<DesiredState>("desired-state.json") {
        let score = |name: &str| &desired.deployments[&name.parse().unwrap()].score;
        assert!(matches!(score("web"), ReconcileScore::PodmanV0(_)));
        let ReconcileScore::Unknown(unknown) = score("later") else {
            panic!("not known");
        };
        assert_eq!(unknown.tag().as_str(), "WasmV3");
    }
}

#[test]
fn observed_states() {
    each_version::<ObservedState>("observed-state.json");
}

#[test]
fn deployments() {
    each_version::<StoredDeployment>("stored-deployment.json");
}

#[test]
fn values_of_a_later_version_are_kept_or_named() {
    let score = json!({"type": "PodmanV0", "data": {"containers": {}, "gpu": true}});
    let decoded: ReconcileScore = serde_json::from_value(score.clone()).unwrap();
    let ReconcileScore::Unknown(unknown) = &decoded else {
        panic!("a field that is not known may not be ignored");
    };
    assert!(
        unknown.to_string().contains("unknown field `gpu`"),
        "{unknown}"
    );
    assert_eq!(serde_json::to_value(&decoded).unwrap(), score);

    let phase: Phase = serde_json::from_value(json!("dreaming")).unwrap();
    assert_eq!(phase, Phase::Other);
    let reason: FailureReason = serde_json::from_value(json!("bad_moon")).unwrap();
    assert_eq!(reason, FailureReason::Other);
}

#[test]
fn an_image_needs_a_registry_and_a_digest() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (image, problem) in [
        ("nginx:latest".to_owned(), "no digest"),
        (format!("nginx@{digest}"), "no registry"),
        (
            "r.example.com/app@sha256:12".to_owned(),
            "64 hexadecimal digits",
        ),
        (format!("r.example.com/a b@{digest}"), "is not `<registry>"),
    ] {
        let container = json!({"image": image});
        let score = json!({"type": "PodmanV0", "data": {"containers": {"a": container}}});
        let ReconcileScore::Unknown(unknown) = serde_json::from_value(score).unwrap() else {
            panic!("{image}");
        };
        assert!(unknown.to_string().contains(problem), "{image}: {unknown}");
    }
}
