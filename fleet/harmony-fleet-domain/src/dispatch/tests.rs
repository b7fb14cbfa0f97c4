use harmony_reconciler_contracts::{ObservedDeployment, StoredDeployment};
use proptest::prelude::*;
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

/// What may happen to a fleet.
#[derive(Debug, Clone)]
enum Event {
    /// Somebody applies another version.
    Apply(u16),
    Delete,
    /// The operator reads everything, decides and writes.
    Pass,
    /// The device reads its desired state.
    Deliver,
    Report,
    /// The operator starts again without a memory.
    Restart,
    LoseDesired,
    /// An old copy of the desired states is restored.
    Restore(prop::sample::Index),
    LoseReports,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (80_u16..90).prop_map(Event::Apply),
        Just(Event::Delete),
        Just(Event::Pass),
        Just(Event::Pass),
        Just(Event::Deliver),
        Just(Event::Deliver),
        Just(Event::Report),
        Just(Event::Restart),
        Just(Event::LoseDesired),
        any::<prop::sample::Index>().prop_map(Event::Restore),
        Just(Event::LoseReports),
    ]
}

/// An operator, its stores, and a device.
#[derive(Default)]
struct World {
    intent: Intent,
    dispatch: Dispatch,
    stored: Option<DesiredState>,
    revision: u64,
    /// All that was ever stored.
    history: Vec<DesiredState>,
    device: DesiredState,
    observed: Option<ObservedState>,
}

impl World {
    fn store(&mut self, state: Option<DesiredState>) {
        self.revision += 1;
        self.stored = state;
    }

    fn pass(&mut self) {
        let labels = "site=lyon".parse().unwrap();
        self.dispatch.set_intent(self.intent.clone());
        let value = self.stored.clone();
        self.dispatch
            .desired_loaded(value.map_or_else(BTreeMap::new, |it| stored(it, self.revision)));
        let report = self.observed.clone().map(|state| StoredValue {
            revision: Revision(1),
            value: Ok(state),
        });
        self.dispatch
            .observed_loaded(report.map(|it| (device(), it)).into_iter().collect());
        for write in self.dispatch.plan([(&device(), &labels)]) {
            self.history.push(write.state.clone());
            self.store(Some(write.state.clone()));
            self.dispatch
                .written(&write.device, write.state, Revision(self.revision));
        }
    }

    /// The rule of the agent.
    fn deliver(&mut self) {
        if let Some(state) = self
            .stored
            .clone()
            .filter(|it| it.generation >= self.device.generation)
        {
            self.device = state;
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Apply(port) => self.intent = intent(&[("web", *port)], &[]),
            Event::Delete => self.intent = intent(&[], &["web"]),
            Event::Pass => self.pass(),
            Event::Deliver => self.deliver(),
            Event::Report => self.observed = Some(report(&self.device)),
            Event::Restart => self.dispatch = Dispatch::default(),
            Event::LoseDesired => self.store(None),
            Event::Restore(index) if !self.history.is_empty() => {
                self.store(Some(index.get(&self.history).clone()));
            }
            Event::Restore(_) => {}
            Event::LoseReports => self.observed = None,
        }
    }
}

proptest! {
    /// Whatever is lost or restored, and in any order: a generation of the device never decreases, and once it reports, it
    /// gets what users want.
    #[test]
    fn a_device_always_arrives_and_never_goes_back(events in prop::collection::vec(event(), 0..40)) {
        let mut world = World::default();
        for event in &events {
            let before = world.device.generation;
            world.happen(event);
            prop_assert!(world.device.generation >= before);
        }
        for _ in 0..3 {
            world.observed = Some(report(&world.device));
            world.pass();
            world.deliver();
        }
        let hashes = |deployments: Vec<(&DeploymentName, &ContentHash)>| format!("{deployments:?}");
        let wanted = world.intent.deployments.iter().map(|(name, it)| (name, &it.content.hash));
        let has = world.device.deployments.iter().map(|(name, it)| (name, &it.hash));
        prop_assert_eq!(hashes(has.collect()), hashes(wanted.collect()));
        let writes = world.history.len();
        world.pass();
        prop_assert_eq!(world.history.len(), writes, "it does not settle");
    }
}
