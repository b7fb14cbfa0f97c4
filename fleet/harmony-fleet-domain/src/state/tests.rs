use std::time::Duration;

use harmony_reconciler_contracts::{DeviceInfo, HeartbeatInterval, SchemaVersion};
use proptest::prelude::*;

use super::*;

const INTERVAL_SECONDS: u32 = 10;

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// In these tests, the wall clock runs with the other clock.
fn wall(now: Moment) -> Timestamp {
    Timestamp::UNIX_EPOCH + now.since(at(0))
}

fn device() -> DeviceId {
    "pump-1".parse().unwrap()
}

fn registration(boot: &str, previous: Option<&str>) -> Registration {
    Registration {
        version: SchemaVersion::CURRENT,
        boot: boot.parse().unwrap(),
        previous_boot: previous.map(|text| text.parse().unwrap()),
        heartbeat_seconds: HeartbeatInterval::from_seconds(INTERVAL_SECONDS).unwrap(),
        info: DeviceInfo::default(),
    }
}

fn heartbeat(boot: &str, sequence: u64) -> Heartbeat {
    Heartbeat {
        version: SchemaVersion::CURRENT,
        boot: boot.parse().unwrap(),
        sequence,
        leaving: false,
    }
}

fn record(boot: &str) -> DeviceRecord {
    let registration = registration(boot, None);
    DeviceRecord {
        id: device(),
        boot: registration.boot,
        interval: registration.heartbeat_seconds,
        info: registration.info,
        registered_at: Timestamp::UNIX_EPOCH,
    }
}

impl FleetState {
    /// Registers like the operator does if the registry never fails.
    fn register_fully(
        &mut self,
        boot: &str,
        previous: Option<&str>,
        now: Moment,
    ) -> RegistrationStep {
        let step =
            self.decide_registration(&device(), &registration(boot, previous), now, wall(now));
        if let RegistrationStep::Write {
            record, expected, ..
        } = &step
        {
            let revision = match expected {
                Expected::Absent => 1,
                Expected::Revision(Revision(n)) => n + 1,
            };
            self.commit_registration(
                record.clone(),
                Revision(revision),
                now,
                Timestamp::UNIX_EPOCH,
            );
        }
        step
    }

    fn beat(&mut self, boot: &str, sequence: u64, now: Moment) -> HeartbeatEffect {
        self.heartbeat(&device(), &heartbeat(boot, sequence), now, wall(now))
    }

    fn only(&self, now: Moment) -> FleetDevice {
        let mut all = self.view(now, wall(now));
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn holder(boot: &str) -> BootId {
    boot.parse().unwrap()
}

#[test]
fn a_device_goes_from_online_to_offline_by_silence_and_back_by_a_heartbeat() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    assert_eq!(fleet.only(at(0)).presence, Some(Presence::Online));
    assert_eq!(fleet.beat("b1", 1, at(10)), HeartbeatEffect::Alive);
    assert_eq!(fleet.only(at(34)).presence, Some(Presence::Online));
    assert_eq!(fleet.only(at(35)).presence, Some(Presence::Stale));
    assert_eq!(fleet.only(at(60)).presence, Some(Presence::Offline));
    assert_eq!(fleet.beat("b1", 2, at(100)), HeartbeatEffect::Alive);
    let seen = fleet.only(at(103));
    assert_eq!(seen.presence, Some(Presence::Online));
    assert_eq!(seen.last_seen.unwrap().ago, Duration::from_secs(3));
}

#[test]
fn a_farewell_is_offline_at_once_and_leaves_the_name_free() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    let farewell = Heartbeat {
        leaving: true,
        ..heartbeat("b1", 1)
    };
    assert_eq!(
        fleet.heartbeat(&device(), &farewell, at(1), Timestamp::UNIX_EPOCH),
        HeartbeatEffect::Left
    );
    assert_eq!(fleet.only(at(1)).presence, Some(Presence::Offline));
    assert!(matches!(
        fleet.register_fully("b2", None, at(2)),
        RegistrationStep::Write {
            reason: WriteReason::Replaced,
            ..
        }
    ));
    assert_eq!(fleet.only(at(2)).rival, None);
}

#[test]
fn after_a_start_the_operator_does_not_pretend_to_know() {
    let mut fleet = FleetState::default();
    fleet.resync(vec![(record("b1"), Revision(7))], at(0), at(1));
    assert_eq!(fleet.only(at(1)).presence, None);
    assert_eq!(fleet.only(at(50)).presence, None);
    assert_eq!(fleet.only(at(51)).presence, Some(Presence::Offline));
    assert_eq!(fleet.only(at(51)).last_seen, None);
    assert_eq!(fleet.beat("b1", 400, at(52)), HeartbeatEffect::Alive);
    assert_eq!(fleet.only(at(52)).presence, Some(Presence::Online));
}

#[test]
fn a_restart_with_the_state_folder_is_accepted_while_the_old_run_seems_alive() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    fleet.beat("b1", 1, at(10));
    assert!(matches!(
        fleet.register_fully("b2", Some("b1"), at(11)),
        RegistrationStep::Write {
            reason: WriteReason::Restarted,
            expected: Expected::Revision(Revision(1)),
            ..
        }
    ));
    assert_eq!(fleet.only(at(11)).rival, None);
    assert_eq!(fleet.beat("b2", 1, at(12)), HeartbeatEffect::Alive);
}

#[test]
fn a_second_live_agent_is_refused_and_flagged_until_it_gives_up() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    assert_eq!(
        fleet.register_fully("b2", None, at(5)),
        RegistrationStep::Refuse {
            holder: holder("b1")
        }
    );
    fleet.beat("b1", 1, at(10));
    let flagged = fleet.only(at(10));
    assert_eq!(flagged.rival, Some(holder("b2")));
    assert_eq!(
        flagged.record.boot,
        holder("b1"),
        "the holder keeps the name"
    );
    assert_eq!(fleet.only(at(30)).rival, None, "silent for 2.5 intervals");
}

#[test]
fn a_refused_agent_takes_over_when_the_holder_falls_silent() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    fleet.register_fully("b2", None, at(5));
    assert!(matches!(
        fleet.register_fully("b2", None, at(26)),
        RegistrationStep::Write {
            reason: WriteReason::Replaced,
            ..
        }
    ));
    assert_eq!(fleet.only(at(26)).rival, None);
}

#[test]
fn a_copied_state_folder_is_noticed_by_the_old_holders_heartbeats() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    fleet.register_fully("b2", Some("b1"), at(5));
    assert_eq!(
        fleet.beat("b1", 1, at(10)),
        HeartbeatEffect::Duplicate {
            holder: holder("b2"),
            known: false
        }
    );
    assert_eq!(
        fleet.beat("b1", 2, at(20)),
        HeartbeatEffect::Duplicate {
            holder: holder("b2"),
            known: true
        }
    );
    assert_eq!(fleet.only(at(20)).rival, Some(holder("b1")));
}

#[test]
fn a_copy_of_a_running_machine_is_noticed_by_its_numbers() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    fleet.beat("b1", 100, at(10));
    assert_eq!(fleet.beat("b1", 100, at(10)), HeartbeatEffect::Repeated);
    assert_eq!(
        fleet.beat("b1", 40, at(15)),
        HeartbeatEffect::Duplicate {
            holder: holder("b1"),
            known: false
        }
    );
    assert!(fleet.only(at(15)).rival.is_some());
}

#[test]
fn a_run_that_the_registry_does_not_hold_is_asked_to_register() {
    let mut fleet = FleetState::default();
    assert_eq!(fleet.beat("b1", 5, at(1)), HeartbeatEffect::AskToRegister);
    // The registry was restored from an old backup with a boot that is long gone.
    fleet.resync(vec![(record("b0"), Revision(3))], at(1), at(2));
    assert_eq!(fleet.beat("b1", 6, at(3)), HeartbeatEffect::AskToRegister);
    assert!(matches!(
        fleet.register_fully("b1", Some("b1"), at(4)),
        RegistrationStep::Write {
            expected: Expected::Revision(Revision(3)),
            ..
        }
    ));
    assert_eq!(fleet.beat("b1", 7, at(5)), HeartbeatEffect::Alive);
}

#[test]
fn a_resync_forgets_what_is_gone_but_not_what_came_meanwhile() {
    let mut fleet = FleetState::default();
    let old = DeviceRecord {
        id: "old".parse().unwrap(),
        ..record("b9")
    };
    fleet.resync(vec![(old, Revision(1))], at(0), at(0));
    fleet.register_fully("b1", None, at(10));
    assert_eq!(fleet.resync(vec![], at(10), at(11)), 1);
    assert_eq!(fleet.only(at(11)).record.id, device());
    assert_eq!(fleet.resync(vec![], at(20), at(21)), 1);
    assert!(fleet.is_empty());
}

#[test]
fn an_old_answer_of_the_registry_does_not_turn_back_what_is_known() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    fleet.register_fully("b2", Some("b1"), at(1));
    fleet.resync(vec![(record("b1"), Revision(1))], at(2), at(3));
    assert_eq!(fleet.only(at(3)).record.boot, holder("b2"));
}

#[derive(Debug, Clone)]
enum Act {
    Register {
        boot: u8,
        previous: Option<u8>,
    },
    Beat {
        boot: u8,
        sequence: u64,
        leaving: bool,
    },
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0_u8..3, proptest::option::of(0_u8..3))
            .prop_map(|(boot, previous)| Act::Register { boot, previous }),
        (0_u8..3, 1_u64..50, any::<bool>()).prop_map(|(boot, sequence, leaving)| Act::Beat {
            boot,
            sequence,
            leaving
        }),
        (1_u64..40).prop_map(Act::Wait),
    ]
}

proptest! {
    /// Only a registration changes the holder, and a running holder keeps its id unless the new agent proves to be its
    /// successor.
    #[test]
    fn the_holder_changes_only_by_right(acts in proptest::collection::vec(act(), 1..60)) {
        let mut fleet = FleetState::default();
        let mut clock = 0;
        for act in acts {
            let before = fleet.view(at(clock), wall(at(clock))).pop();
            let name = |n: u8| format!("b{n}");
            let mut proof = None;
            match act {
                Act::Register { boot, previous } => {
                    proof = previous.map(name);
                    fleet.register_fully(&name(boot), proof.as_deref(), at(clock));
                }
                Act::Beat { boot, sequence, leaving } => {
                    let beat = Heartbeat { leaving, ..heartbeat(&name(boot), sequence) };
                    fleet.heartbeat(&device(), &beat, at(clock), Timestamp::UNIX_EPOCH);
                    prop_assert_eq!(
                        fleet.view(at(clock), wall(at(clock))).pop().map(|d| d.record.boot.clone()),
                        before.as_ref().map(|d| d.record.boot.clone())
                    );
                }
                Act::Wait(seconds) => clock += seconds,
            }
            if let (Some(before), Some(after)) = (before, fleet.view(at(clock), wall(at(clock))).pop())
                && before.presence == Some(Presence::Online)
                && before.record.boot != after.record.boot
            {
                prop_assert_eq!(proof, Some(before.record.boot.to_string()));
            }
        }
    }
}

#[test]
fn a_flood_of_new_devices_is_slowed_and_bounded() {
    let mut fleet = FleetState::default();
    let (mut accepted, mut refused) = (0, 0);
    for n in 0..100_000_u64 {
        let device = format!("flood-{n}").parse().unwrap();
        // 40 per second: twice the rate.
        let now = Moment::after_start(Duration::from_millis(n * 25));
        match fleet.decide_registration(
            &device,
            &registration("b1", None),
            now,
            Timestamp::UNIX_EPOCH,
        ) {
            RegistrationStep::Write { record, .. } => {
                fleet.commit_registration(record, Revision(n + 1), now, Timestamp::UNIX_EPOCH);
                accepted += 1;
            }
            RegistrationStep::TooMany => refused += 1,
            other => panic!("{other:?}"),
        }
        if n == 10_000 {
            assert!(accepted < 7_000, "{accepted}");
        }
    }
    assert_eq!(fleet.len(), FleetState::MAX_DEVICES);
    assert_eq!(accepted + refused, 100_000);
    // A known device can register again even during a flood of new devices.
    let known = "flood-0".parse().unwrap();
    let now = Moment::after_start(Duration::from_secs(10_000));
    let step = fleet.decide_registration(
        &known,
        &registration("b2", Some("b1")),
        now,
        Timestamp::UNIX_EPOCH,
    );
    assert!(matches!(step, RegistrationStep::Write { .. }), "{step:?}");
}

/// A device that registered at the start, and sent a heartbeat at `heard` if there is one.
fn silent_since(heard: Option<u64>) -> FleetState {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    if let Some(seconds) = heard {
        fleet.beat("b1", 1, at(seconds));
    }
    fleet
}

#[test]
fn a_device_is_forgotten_when_it_was_silent_for_the_whole_time() {
    let day = 24 * 60 * 60;
    let limit = Duration::from_secs(30 * day);
    let mut fleet = silent_since(Some(100));
    assert_eq!(fleet.silent_for(limit, at(99 + 30 * day)), []);
    let silent = fleet.silent_for(limit, at(100 + 30 * day));
    assert_eq!(silent, [(device(), Revision(1))]);
    fleet.forget(&device(), Revision(1));
    assert!(fleet.is_empty());
    // Coming back, it is asked to register, and has lost nothing.
    let now = at(101 + 30 * day);
    assert_eq!(fleet.beat("b1", 2, now), HeartbeatEffect::AskToRegister);
    fleet.register_fully("b1", None, now);
    assert_eq!(fleet.only(now).presence, Some(Presence::Online));
}

#[test]
fn a_farewell_and_a_start_of_the_operator_begin_the_silence() {
    let limit = Duration::from_secs(1000);
    let mut left = silent_since(Some(1));
    let farewell = Heartbeat {
        leaving: true,
        ..heartbeat("b1", 2)
    };
    left.heartbeat(&device(), &farewell, at(500), wall(at(500)));
    let mut loaded = FleetState::default();
    loaded.resync(vec![(record("b1"), Revision(1))], at(500), at(500));
    for fleet in [left, loaded] {
        assert_eq!(fleet.silent_for(limit, at(1499)), []);
        assert_eq!(fleet.silent_for(limit, at(1500)).len(), 1);
    }
}

#[test]
fn one_that_only_ever_registered_is_forgotten_soon_but_not_one_that_did_more() {
    let hour = FleetState::FORGET_UNHEARD_AFTER.as_secs();
    let limit = FleetState::FORGET_AFTER;
    assert_eq!(silent_since(None).silent_for(limit, at(hour - 1)), []);
    assert_eq!(silent_since(None).silent_for(limit, at(hour)).len(), 1);
    // Known for long, it restarts and falls silent before its first heartbeat.
    let mut known = silent_since(Some(1));
    known.register_fully("b2", Some("b1"), at(2));
    assert_eq!(known.silent_for(limit, at(10 * hour)), []);
}

#[test]
fn what_is_alive_or_came_back_is_never_forgotten() {
    // A limit below what the device's own interval allows does not count.
    let fleet = silent_since(Some(1));
    let offline = u64::from(INTERVAL_SECONDS) * 5 + 1;
    assert_eq!(fleet.silent_for(Duration::ZERO, at(offline - 1)), []);
    assert_eq!(fleet.silent_for(Duration::ZERO, at(offline)).len(), 1);
    // Registered again between the decision and the removal: another revision.
    let mut fleet = silent_since(Some(1));
    fleet.register_fully("b2", None, at(1000));
    fleet.forget(&device(), Revision(1));
    assert_eq!(fleet.len(), 1);
}

#[test]
fn a_flood_leaves_again_and_takes_no_known_device_with_it() {
    let mut fleet = FleetState::default();
    fleet.register_fully("b1", None, at(0));
    for n in 0..2000 {
        let flood = format!("flood-{n}").parse().unwrap();
        let step = fleet.decide_registration(&flood, &registration("b1", None), at(n), wall(at(n)));
        if let RegistrationStep::Write { record, .. } = step {
            fleet.commit_registration(record, Revision(100 + n), at(n), wall(at(n)));
        }
    }
    let later = at(10_000);
    fleet.beat("b1", 1, at(9_999));
    let mut rounds = 0;
    loop {
        let silent = fleet.silent_for(FleetState::FORGET_AFTER, later);
        assert!(silent.len() <= FleetState::FORGET_AT_ONCE);
        if silent.is_empty() {
            break;
        }
        for (id, revision) in silent {
            fleet.forget(&id, revision);
        }
        rounds += 1;
    }
    assert!(rounds > 1);
    assert_eq!(fleet.only(later).record.id, device());
}
