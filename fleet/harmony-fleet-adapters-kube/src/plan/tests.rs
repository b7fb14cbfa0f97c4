use std::sync::Arc;

use harmony_fleet_domain::{DeviceRecord, LastSeen};
use harmony_reconciler_contracts::{DeviceInfo, HeartbeatInterval};

use super::*;
use crate::crds;

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn device(name: &str, presence: Option<Presence>, seen_at: Option<i64>) -> FleetDevice {
    FleetDevice {
        record: Arc::new(DeviceRecord {
            id: name.parse().unwrap(),
            boot: "b1".parse().unwrap(),
            interval: HeartbeatInterval::NOMINAL,
            info: DeviceInfo {
                agent_version: "0.1.0".into(),
                labels: "site=lyon".parse().unwrap(),
                ..DeviceInfo::default()
            },
            registered_at: at(1),
        }),
        presence,
        last_seen: seen_at.map(|second| LastSeen {
            ago: Duration::ZERO,
            at: at(second),
        }),
        rival: None,
    }
}

/// A cluster that executes all writes.
#[derive(Default)]
struct Cluster(BTreeMap<String, Device>);

impl Cluster {
    fn reflect(&mut self, devices: &[FleetDevice], now: i64) -> Vec<Write> {
        let writes = plan(devices, self.0.values(), &tenant(), at(now));
        for write in writes.clone() {
            match write {
                Write::Apply(device) | Write::Status(device) => {
                    self.0.insert(device.name_any(), *device);
                }
                Write::Remove(name) => {
                    self.0.remove(&name);
                }
            }
        }
        writes
    }

    fn status(&self, name: &str) -> &DeviceStatus {
        self.0[name].status.as_ref().unwrap()
    }

    fn condition(&self, name: &str, kind: &str) -> &Condition {
        self.status(name)
            .conditions
            .iter()
            .find(|c| c.type_ == kind)
            .unwrap()
    }
}

fn kinds(writes: &[Write]) -> Vec<&'static str> {
    writes
        .iter()
        .map(|write| match write {
            Write::Apply(_) => "apply",
            Write::Status(_) => "status",
            Write::Remove(_) => "remove",
        })
        .collect()
}

#[test]
fn a_heartbeat_alone_is_written_at_a_limited_rate() {
    let mut cluster = Cluster::default();
    let online = |second| [device("pump-1", Some(Presence::Online), Some(second))];
    assert_eq!(kinds(&cluster.reflect(&online(100), 100)), ["apply"]);
    for second in 101..115 {
        assert_eq!(
            cluster.reflect(&online(second), second),
            vec![],
            "at {second}"
        );
    }
    assert_eq!(kinds(&cluster.reflect(&online(115), 115)), ["status"]);
    assert_eq!(cluster.status("pump-1").last_heartbeat, Some(Time(at(115))));
    assert_eq!(cluster.reflect(&online(115), 500), vec![]);
}

#[test]
fn a_transition_is_written_at_once_and_dated() {
    let mut cluster = Cluster::default();
    cluster.reflect(&[device("pump-1", Some(Presence::Online), Some(100))], 100);
    let stale = [device("pump-1", Some(Presence::Stale), Some(100))];
    assert_eq!(kinds(&cluster.reflect(&stale, 250)), ["status"]);
    assert_eq!(cluster.status("pump-1").presence, DevicePresence::Stale);
    let ready = cluster.condition("pump-1", "Ready");
    assert_eq!(
        (ready.status.as_str(), ready.last_transition_time.0),
        ("False", at(250))
    );
    cluster.reflect(&[device("pump-1", Some(Presence::Offline), Some(100))], 400);
    let ready = cluster.condition("pump-1", "Ready");
    assert_eq!(ready.reason, "Silent");
    assert_eq!(
        ready.last_transition_time.0,
        at(250),
        "still not ready, since then"
    );
}

#[test]
fn what_is_deleted_comes_back_and_what_is_edited_is_corrected() {
    let mut cluster = Cluster::default();
    let devices = [
        device("pump-1", Some(Presence::Online), Some(1)),
        device("pump-2", Some(Presence::Online), Some(1)),
    ];
    cluster.reflect(&devices, 1);
    cluster.0.clear();
    assert_eq!(kinds(&cluster.reflect(&devices, 2)), ["apply", "apply"]);

    let edited = cluster.0.get_mut("pump-1").unwrap();
    edited.spec.labels.insert("site".into(), "paris".into());
    edited.status.as_mut().unwrap().hostname = "elsewhere".into();
    cluster.0.get_mut("pump-2").unwrap().metadata.labels = None;
    assert_eq!(kinds(&cluster.reflect(&devices, 3)), ["apply", "apply"]);
    assert_eq!(cluster.reflect(&devices, 4), vec![]);
}

#[test]
fn labels_of_others_are_left_alone() {
    let mut cluster = Cluster::default();
    let devices = [device("pump-1", Some(Presence::Online), Some(1))];
    cluster.reflect(&devices, 1);
    let labels = cluster
        .0
        .get_mut("pump-1")
        .unwrap()
        .metadata
        .labels
        .as_mut()
        .unwrap();
    assert_eq!(labels["site"], "lyon");
    labels.insert("example.com/owner".into(), "jane".into());
    assert_eq!(cluster.reflect(&devices, 2), vec![]);
}

#[test]
fn devices_that_the_fleet_does_not_have_are_removed_but_only_ours() {
    let mut cluster = Cluster::default();
    cluster.reflect(
        &[
            device("pump-1", Some(Presence::Online), Some(1)),
            device("pump-2", Some(Presence::Online), Some(1)),
        ],
        1,
    );
    let mut foreign = cluster.0["pump-1"].clone();
    foreign.spec.tenant = "other".into();
    foreign.metadata.name = Some("theirs".into());
    cluster.0.insert("theirs".into(), foreign);
    let writes = cluster.reflect(&[device("pump-2", Some(Presence::Online), Some(1))], 2);
    assert_eq!(writes, vec![Write::Remove("pump-1".into())]);
    let clash = cluster.reflect(
        &[
            device("pump-2", Some(Presence::Online), Some(1)),
            device("theirs", Some(Presence::Online), Some(1)),
        ],
        3,
    );
    assert_eq!(clash, vec![]);
}

#[test]
fn an_operator_that_has_just_started_keeps_what_is_shown() {
    let mut cluster = Cluster::default();
    cluster.reflect(&[device("pump-1", Some(Presence::Online), Some(100))], 100);
    assert_eq!(
        cluster.reflect(&[device("pump-1", None, None)], 200),
        vec![]
    );
    // Without previous information, it is unknown.
    cluster.0.clear();
    cluster.reflect(&[device("pump-1", None, None)], 201);
    assert_eq!(cluster.status("pump-1").presence, DevicePresence::Unknown);
    assert_eq!(cluster.condition("pump-1", "Ready").status, "Unknown");
    cluster.reflect(&[device("pump-1", Some(Presence::Online), Some(202))], 202);
    assert_eq!(cluster.condition("pump-1", "Ready").status, "True");
}

#[test]
fn a_duplicate_identity_is_a_condition_that_names_both() {
    let mut cluster = Cluster::default();
    let mut flagged = device("pump-1", Some(Presence::Online), Some(1));
    cluster.reflect(&[flagged.clone()], 1);
    assert_eq!(cluster.condition("pump-1", "Unique").status, "True");
    flagged.rival = Some("b2".parse().unwrap());
    assert_eq!(kinds(&cluster.reflect(&[flagged], 2)), ["status"]);
    let unique = cluster.condition("pump-1", "Unique");
    assert_eq!(
        (unique.status.as_str(), unique.reason.as_str()),
        ("False", "DuplicateIdentity")
    );
    assert!(unique.message.contains("`b1`") && unique.message.contains("`b2`"));
}

#[test]
fn what_the_cluster_reads_back_is_what_was_written() {
    let mut cluster = Cluster::default();
    let mut fine = device("pump-1", Some(Presence::Online), None);
    fine.last_seen = Some(LastSeen {
        ago: Duration::ZERO,
        at: Timestamp::from_millisecond(100_700).unwrap(),
    });
    Arc::make_mut(&mut fine.record).registered_at = Timestamp::from_millisecond(5_250).unwrap();
    cluster.reflect(&[fine.clone()], 100);
    let json = serde_json::to_string(&cluster.0["pump-1"]).unwrap();
    cluster
        .0
        .insert("pump-1".into(), serde_json::from_str(&json).unwrap());
    assert_eq!(cluster.reflect(&[fine], 101), vec![]);
}

#[test]
fn the_definition_is_namespaced_and_has_a_status_and_columns() {
    let crd = serde_json::to_value(&crds()[0]).unwrap();
    assert_eq!(crd["metadata"]["name"], "devices.fleet.harmony.io");
    assert_eq!(crd["spec"]["scope"], "Namespaced");
    assert_eq!(crd["spec"]["names"]["shortNames"][0], "dev");
    let version = &crd["spec"]["versions"][0];
    assert!(version["subresources"]["status"].is_object());
    assert_eq!(version["additionalPrinterColumns"][0]["name"], "Presence");
    let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    assert_eq!(status["lastHeartbeat"]["format"], "date-time");
    assert_eq!(status["presence"]["enum"].as_array().unwrap().len(), 4);
}
