use std::time::Duration;

use harmony_reconciler_contracts::{DeviceInfo, SchemaVersion, StoredDeployment};
use serde_json::{Value, json};

use super::*;
use crate::desired::next_state;

fn deployment(name: &str, target: &Value, port: u16) -> FleetDeployment {
    let digest = "a".repeat(64);
    let stored: StoredDeployment = serde_json::from_value(json!({
        "name": name,
        "target": target,
        "score": {"type": "PodmanV0", "data": {"containers": {"c": {
            "image": format!("r.example.com/app@sha256:{digest}"),
            "ports": [{"host": port, "container": 80}],
        }}}},
    }))
    .unwrap();
    stored.into()
}

fn device(name: &str, labels: &str, presence: Option<Presence>) -> DeviceSummary {
    DeviceSummary {
        id: name.parse().unwrap(),
        presence,
        last_seen_ago: Some(Duration::from_secs(3)),
        duplicate: false,
        info: DeviceInfo {
            labels: labels.parse().unwrap(),
            ..DeviceInfo::default()
        },
    }
}

/// A tenant with one online device in Lyon and these deployments.
fn snapshot(deployments: &[FleetDeployment]) -> Snapshot {
    let pump = device("pump-1", "site=lyon", Some(Presence::Online));
    let deployments = deployments.iter().map(|it| (it.name.clone(), it.clone()));
    Snapshot {
        devices: [(pump.id.clone(), pump)].into(),
        intent: Intent {
            deployments: deployments.collect(),
            ..Intent::default()
        },
        ..Snapshot::default()
    }
}

/// Tells all devices what the operator would tell them.
fn deliver(snapshot: &mut Snapshot) {
    for (id, device) in &snapshot.devices {
        let before = snapshot.desired.get(id).cloned().unwrap_or_default();
        let decision = decide(id, &device.info.labels, &snapshot.intent, &before);
        if let Some(next) = next_state(&before, &decision) {
            snapshot.desired.insert(id.clone(), next);
        }
    }
}

/// The device reports what it was told, with this phase and cause.
fn report(snapshot: &mut Snapshot, phase: Phase, cause: Option<Value>) {
    for (id, told) in &snapshot.desired {
        let deployments = told.deployments.iter().map(|(name, content)| {
            let observed = ObservedDeployment {
                wanted: content.hash.clone(),
                running: (phase == Phase::Running).then(|| content.hash.clone()),
                phase,
                cause: cause
                    .clone()
                    .map(|cause| serde_json::from_value(cause).unwrap()),
                since_ms: 0,
                containers: BTreeMap::new(),
            };
            (name.clone(), observed)
        });
        let observed = ObservedState {
            version: SchemaVersion::CURRENT,
            boot: "b1".parse().unwrap(),
            sequence: 1,
            generation: told.generation,
            deployments: deployments.collect(),
        };
        snapshot.observed.insert(id.clone(), observed);
    }
}

fn verdict(snapshot: &Snapshot, name: &str) -> Verdict {
    let device = snapshot.devices.values().next().unwrap();
    snapshot.trace(device, &name.parse().unwrap()).verdict
}

fn lyon() -> Value {
    json!({"labels": {"site": "lyon"}})
}

#[test]
fn the_verdict_is_the_first_link_that_is_missing() {
    let mut all = snapshot(&[deployment("web", &lyon(), 80)]);
    assert_eq!(verdict(&all, "web"), Verdict::NotWritten);
    deliver(&mut all);
    assert_eq!(verdict(&all, "web"), Verdict::NotReceived);
    let mut silent = all.clone();
    report(&mut silent, Phase::Running, None);
    silent
        .observed
        .values_mut()
        .for_each(|it| it.deployments.clear());
    assert_eq!(verdict(&silent, "web"), Verdict::NotReported);
    report(&mut all, Phase::Pulling, None);
    assert_eq!(verdict(&all, "web"), Verdict::Working(Phase::Pulling));
    report(&mut all, Phase::Running, None);
    assert_eq!(verdict(&all, "web"), Verdict::Running);

    // A new version: what the device reports is about the one before.
    let mut newer = all.clone();
    newer.intent = snapshot(&[deployment("web", &lyon(), 81)]).intent;
    assert_eq!(verdict(&newer, "web"), Verdict::NotWritten);
    deliver(&mut newer);
    assert_eq!(verdict(&newer, "web"), Verdict::NotReceived);

    // The deployment is deleted.
    let mut deleted = all.clone();
    deleted.intent = Intent {
        deleted: ["web".parse().unwrap()].into(),
        ..Intent::default()
    };
    assert_eq!(verdict(&deleted, "web"), Verdict::Leaving);
    deliver(&mut deleted);
    report(&mut deleted, Phase::Running, None);
    assert_eq!(verdict(&deleted, "web"), Verdict::NotSelected);

    // The store has lost it: the device keeps it.
    all.intent = Intent::default();
    assert_eq!(verdict(&all, "web"), Verdict::Running);
}

#[test]
fn a_failure_is_told_in_one_line() {
    let mut all = snapshot(&[deployment("web", &lyon(), 80)]);
    deliver(&mut all);
    let cause = json!({"reason": "image_missing", "detail": "manifest unknown", "container": "c"});
    report(&mut all, Phase::Retrying, Some(cause));
    let failing = verdict(&all, "web");
    assert_eq!(failing.standing(), Standing::Failing);
    assert_eq!(
        failing.to_string(),
        "the image does not exist (container c): manifest unknown"
    );
    let traces_of = |all: &Snapshot| {
        all.traces(&"web".parse().unwrap())
            .iter()
            .any(Trace::is_awaited)
    };
    assert!(traces_of(&all), "the agent tries again");
    report(&mut all, Phase::RolledBack, None);
    assert!(!traces_of(&all));
    assert_eq!(verdict(&all, "web").word(), "rolled back");
}

#[test]
fn a_conflict_names_the_other_deployment_and_what_both_want() {
    let mut all = snapshot(&[
        deployment("api", &json!({"all": true}), 80),
        deployment("web", &lyon(), 80),
    ]);
    deliver(&mut all);
    let conflict = verdict(&all, "web");
    assert_eq!(
        conflict.to_string(),
        "the device stays as it is, because api wants port 80/tcp, too"
    );
    let name = "web".parse().unwrap();
    let summary = Summary::of(&all.traces(&name));
    assert_eq!((summary.selected, summary.failing), (1, 1));
}

#[test]
fn the_reason_for_not_being_selected_is_named() {
    let pump = device("pump-1", "site=lyon", None);
    let of = |target: Value| selection(&serde_json::from_value(target).unwrap(), &pump);
    assert_eq!(of(lyon()), Selection::Selected);
    assert_eq!(of(json!({})), Selection::NoTarget);
    assert_eq!(of(json!({"devices": ["pump-2"]})), Selection::NotNamed);
    let Selection::Label { key, wanted, has } =
        of(json!({"labels": {"line": "3", "site": "lyon"}}))
    else {
        panic!("the label is missing")
    };
    assert_eq!((key.as_str(), wanted.as_str(), has), ("line", "3", None));
}

#[test]
fn devices_are_counted_once() {
    let web = deployment("web", &json!({"all": true}), 80);
    let mut all = snapshot(&[web]);
    for (name, presence) in [
        ("b", Some(Presence::Offline)),
        ("c", Some(Presence::Online)),
    ] {
        let device = device(name, "", presence);
        all.devices.insert(device.id.clone(), device);
    }
    deliver(&mut all);
    report(&mut all, Phase::Running, None);
    for name in ["b", "c"] {
        all.observed.remove(&name.parse::<DeviceId>().unwrap());
    }
    let name = "web".parse().unwrap();
    let expected = Summary {
        selected: 3,
        running: 1,
        failing: 0,
        away: 1,
    };
    assert_eq!(Summary::of(&all.traces(&name)), expected);
    let pump = all.devices.values().next().unwrap();
    assert_eq!(all.traces_of_device(pump).len(), 1);
}
