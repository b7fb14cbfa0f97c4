use harmony_reconciler_contracts::{ObservedDeployment, StoredDeployment};
use serde_json::json;

use super::*;

const DEVICE: &str = "pump-1";

fn device() -> DeviceId {
    DEVICE.parse().unwrap()
}

fn intent(names: &[(&str, u16)], deleted: &[&str]) -> Intent {
    let digest = "a".repeat(64);
    let deployments = names.iter().map(|(name, port)| {
        let stored: StoredDeployment = serde_json::from_value(json!({
            "name": name,
            "target": {"labels": {"site": "lyon"}},
            "score": {"type": "PodmanV0", "data": {"containers": {"c": {
                "image": format!("r.example.com/app@sha256:{digest}"),
                "ports": [{"host": port, "container": 80}],
            }}}},
        }))
        .unwrap();
        (name.parse().unwrap(), stored.into())
    });
    Intent {
        deployments: deployments.collect(),
        deleted: deleted.iter().map(|name| name.parse().unwrap()).collect(),
        unreadable: BTreeMap::new(),
    }
}

/// Carries out the writes for a device with these labels, as a store would, and returns the last state.
fn settle(dispatch: &mut Dispatch, labels: &str, revision: &mut u64) -> Option<DesiredState> {
    let labels: Labels = labels.parse().unwrap();
    let mut last = None;
    for _ in 0..3 {
        for write in dispatch.plan([(&device(), &labels)]) {
            *revision += 1;
            dispatch.written(&write.device, write.state.clone(), Revision(*revision));
            last = Some(write.state);
        }
    }
    assert_eq!(dispatch.plan([(&device(), &labels)]), [], "does not settle");
    last
}

fn names(state: &DesiredState) -> Vec<&str> {
    state
        .deployments
        .keys()
        .map(DeploymentName::as_str)
        .collect()
}

fn report(state: &DesiredState) -> ObservedState {
    let deployments = state.deployments.iter().map(|(name, content)| {
        let observed = ObservedDeployment {
            wanted: content.hash.clone(),
            running: Some(content.hash.clone()),
            phase: Phase::Running,
            cause: None,
            since_ms: 0,
            containers: BTreeMap::new(),
        };
        (name.clone(), observed)
    });
    ObservedState {
        version: SchemaVersion::CURRENT,
        boot: "b1".parse().unwrap(),
        sequence: 1,
        generation: state.generation,
        deployments: deployments.collect(),
    }
}

fn stored(state: DesiredState, revision: u64) -> BTreeMap<DeviceId, StoredValue<DesiredState>> {
    let revision = Revision(revision);
    let value = Ok(state);
    [(device(), StoredValue { revision, value })].into()
}

#[test]
fn a_device_follows_its_labels_and_the_deployments() {
    let (mut dispatch, mut revision) = (Dispatch::default(), 0);
    assert_eq!(settle(&mut dispatch, "site=lyon", &mut revision), None);
    dispatch.set_intent(intent(&[("web", 80)], &[]));
    let first = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(
        (first.generation, names(&first)),
        (Generation(1), vec!["web"])
    );
    let moved = settle(&mut dispatch, "site=nice", &mut revision).unwrap();
    assert_eq!((moved.generation, names(&moved)), (Generation(2), vec![]));
    let back = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(back.generation, Generation(3));
    dispatch.set_intent(intent(&[], &["web"]));
    let removed = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(
        (removed.generation, names(&removed)),
        (Generation(4), vec![])
    );
}

#[test]
fn a_lost_or_restored_value_is_written_again_with_a_higher_generation() {
    let (mut dispatch, mut revision) = (Dispatch::default(), 0);
    dispatch.set_intent(intent(&[("web", 80)], &[]));
    let old = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    dispatch.set_intent(intent(&[("web", 81)], &[]));
    let new = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(new.generation, Generation(2));

    dispatch.desired_loaded(BTreeMap::new());
    let rebuilt = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(rebuilt.generation, Generation(3));
    assert_eq!(rebuilt.deployments, new.deployments);

    dispatch.desired_loaded(stored(old, 1));
    let forward = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(forward.generation, Generation(4));
    assert_eq!(forward.deployments, new.deployments);
}

#[test]
fn an_operator_without_memory_learns_the_generation_from_the_device() {
    let (mut before, mut revision) = (Dispatch::default(), 0);
    before.set_intent(intent(&[("web", 80)], &[]));
    settle(&mut before, "site=lyon", &mut revision);
    before.set_intent(intent(&[("web", 81)], &[]));
    let told = settle(&mut before, "site=lyon", &mut revision).unwrap();

    // A deployment that was added meanwhile conflicts: the device keeps what it runs, although its value is lost.
    let mut dispatch = Dispatch::default();
    dispatch.set_intent(intent(&[("api", 81), ("web", 81)], &[]));
    dispatch.observed(&device(), &report(&told));
    let rebuilt = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(rebuilt.generation, Generation(3));
    assert_eq!(rebuilt.deployments, told.deployments);
    assert_eq!(dispatch.conflicts(), 2);

    // A report that nobody can have earned is ignored.
    let mut absurd = report(&told);
    absurd.generation = Generation(u64::MAX);
    dispatch.observed(&device(), &absurd);
    assert_eq!(settle(&mut dispatch, "site=lyon", &mut revision), None);
}

#[test]
fn lost_deployments_stay_on_devices_until_they_are_deleted() {
    let (mut dispatch, mut revision) = (Dispatch::default(), 0);
    dispatch.set_intent(intent(&[("web", 80)], &[]));
    settle(&mut dispatch, "site=lyon", &mut revision);
    dispatch.set_intent(Intent::default());
    assert_eq!(settle(&mut dispatch, "site=lyon", &mut revision), None);
    assert_eq!(dispatch.lost(), ["web".parse().unwrap()].into());
    dispatch.set_intent(intent(&[], &["web"]));
    assert!(settle(&mut dispatch, "site=lyon", &mut revision).is_some());
    assert_eq!(dispatch.lost(), BTreeSet::new());
}

#[test]
fn a_device_is_left_alone_while_the_content_of_its_deployments_is_lost() {
    let (mut before, mut revision) = (Dispatch::default(), 0);
    before.set_intent(intent(&[("api", 81), ("web", 80)], &[]));
    let told = settle(&mut before, "site=lyon", &mut revision).unwrap();

    // Only the report is left.
    let mut dispatch = Dispatch::default();
    dispatch.observed(&device(), &report(&told));
    assert_eq!(settle(&mut dispatch, "site=lyon", &mut revision), None);
    assert_eq!(dispatch.lost().len(), 2);
    dispatch.set_intent(intent(&[("web", 82)], &[]));
    assert_eq!(settle(&mut dispatch, "site=lyon", &mut revision), None);
    dispatch.set_intent(intent(&[("web", 82)], &["api"]));
    let rebuilt = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    assert_eq!(
        (rebuilt.generation, names(&rebuilt)),
        (Generation(2), vec!["web"])
    );
}

#[test]
fn a_newer_value_is_left_alone_and_a_damaged_one_replaced() {
    let labels = "site=lyon".parse().unwrap();
    let value = |value| {
        [(
            device(),
            StoredValue {
                revision: Revision(7),
                value,
            },
        )]
        .into()
    };
    let mut dispatch = Dispatch::default();
    dispatch.set_intent(intent(&[("web", 80)], &[]));
    let problem = String::new();
    dispatch.desired_loaded(value(Err(Unreadable::Newer {
        problem: problem.clone(),
    })));
    assert_eq!(dispatch.plan([(&device(), &labels)]), []);
    dispatch.desired_loaded(BTreeMap::new());
    dispatch.desired_loaded(value(Err(Unreadable::Damaged { problem })));
    let writes = dispatch.plan([(&device(), &labels)]);
    assert_eq!(writes[0].expected, Expected::Revision(Revision(7)));
}

#[test]
fn a_device_without_a_report_is_named_until_it_reports() {
    let (mut dispatch, mut revision) = (Dispatch::default(), 0);
    dispatch.set_intent(intent(&[("web", 80)], &[]));
    let told = settle(&mut dispatch, "site=lyon", &mut revision).unwrap();
    let unreported = dispatch.unreported([&device()]);
    assert_eq!(unreported[0].state, told);
    dispatch.observed(&device(), &report(&told));
    assert_eq!(dispatch.unreported([&device()]), []);
    assert_eq!(dispatch.phases(), [(Phase::Running, 1)].into());
    dispatch.observed_loaded(BTreeMap::new());
    assert_eq!(dispatch.unreported([&device()]).len(), 1);
}
