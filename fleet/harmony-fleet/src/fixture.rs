//! A small fleet for tests of the output.

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_fleet_domain::desired::{decide, next_state};
use harmony_fleet_domain::progress::Snapshot;
use harmony_fleet_domain::{DeviceSummary, Presence};
use harmony_reconciler_contracts::{DesiredState, DeviceInfo, ObservedState, StoredDeployment};
use serde_json::json;

use crate::file;

/// The time of the tests: one minute after what the devices report.
pub(crate) const NOW: Duration = Duration::from_secs(1_700_000_060);

const GREETER: &str = "
name: greeter
target: { labels: { site: lyon } }
containers:
  web:
    image: registry.example.com/greeter@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    ports: [{ host: 8080, container: 8080 }]
---
name: logger
target: { devices: [valve-1] }
containers:
  main:
    image: registry.example.com/logger@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    ports: [{ host: 9000, container: 9000 }]
---
name: metrics
target: { devices: [valve-1] }
containers:
  main:
    image: registry.example.com/metrics@sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
    ports: [{ host: 9000, container: 9000 }]
";

/// `pump-1` runs `greeter`, `pump-2` fails, `pump-3` is offline and has never been told; two deployments conflict on
/// `valve-1`.
pub(crate) fn snapshot() -> Snapshot {
    let device = |name: &str, labels: &str, presence| DeviceSummary {
        id: name.parse().unwrap(),
        presence: Some(presence),
        last_seen_ago: Some(Duration::from_secs(4)),
        duplicate: false,
        info: DeviceInfo {
            labels: labels.parse().unwrap(),
            ..DeviceInfo::default()
        },
    };
    let devices = [
        device("pump-1", "site=lyon", Presence::Online),
        device("pump-2", "site=lyon", Presence::Online),
        device("pump-3", "site=lyon", Presence::Offline),
        device("valve-1", "site=nice", Presence::Online),
    ];
    let deployments: Vec<StoredDeployment> = file::read(GREETER).unwrap();
    let mut snapshot = Snapshot {
        devices: devices.into_iter().map(|it| (it.id.clone(), it)).collect(),
        ..Snapshot::default()
    };
    let deployments = deployments.into_iter();
    snapshot.intent.deployments = deployments.map(|it| (it.name.clone(), it.into())).collect();
    let before = DesiredState::default();
    for (id, device) in &snapshot.devices {
        let decision = decide(id, &device.info.labels, &snapshot.intent, &before);
        if let Some(state) = next_state(&before, &decision) {
            snapshot.desired.insert(id.clone(), state);
        }
    }
    let hash = snapshot.intent.deployments[&"greeter".parse().unwrap()]
        .content
        .hash
        .clone();
    let reports = [
        (
            "pump-1",
            json!({"wanted": hash, "running": hash, "phase": "running", "since_ms": 1_699_999_880_000_i64,
                   "containers": {"web": {"running": true}}}),
        ),
        (
            "pump-2",
            json!({"wanted": hash, "phase": "failed", "since_ms": 1_700_000_000_000_i64,
                   "cause": {"reason": "crashed_at_start", "detail": "exit code 7", "container": "web"},
                   "containers": {"web": {"running": false, "restarts": 3, "exit_code": 7,
                                          "log": ["opening /data", "cannot open /data"]}}}),
        ),
    ];
    let reports = reports.map(|(name, report)| {
        let state = json!({"boot": "b1", "sequence": 1, "generation": 1, "deployments": {"greeter": report}});
        let state: ObservedState = serde_json::from_value(state).unwrap();
        (name.parse().unwrap(), state)
    });
    snapshot.observed = BTreeMap::from(reports);
    snapshot
}
