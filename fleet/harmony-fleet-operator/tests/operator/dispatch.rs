//! Deployments reach devices, whatever is lost in between.

use std::collections::BTreeMap;
use std::time::Instant;

use harmony_fleet_adapters_nats::{
    NatsDeploymentStore, NatsDesiredStatePublisher, NatsObservedStateConsumer, NatsWorkloadLink,
};
use harmony_fleet_domain::{
    DeploymentStore, DesiredStatePublisher, Expected, ObservedStateConsumer, WorkloadLink,
};
use harmony_reconciler_contracts::{
    DeploymentName, DesiredState, Generation, ObservedDeployment, ObservedState, Phase,
    StoredDeployment,
};

use super::*;

fn deployment(name: &str, target: &str, port: u16) -> StoredDeployment {
    let image = format!("r.example.com/app@sha256:{}", "a".repeat(64));
    let text = format!(
        r#"{{"name": "{name}", "target": {target}, "score": {{"type": "PodmanV0", "data": {{"containers":
           {{"c": {{"image": "{image}", "ports": [{{"host": {port}, "container": 80}}]}}}}}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// Everything that a test needs of a fleet.
struct Parts {
    nats: TestNats,
    deployments: NatsDeploymentStore,
    desired: NatsDesiredStatePublisher,
    observed: NatsObservedStateConsumer,
}

impl Parts {
    async fn start() -> Self {
        let nats = TestNats::start().unwrap();
        let tools = NatsConnection::connect(&nats.options("tools").unwrap())
            .await
            .unwrap();
        Self {
            deployments: NatsDeploymentStore::new(tools.clone(), tenant()),
            desired: NatsDesiredStatePublisher::new(tools.clone(), tenant()),
            observed: NatsObservedStateConsumer::new(tools, tenant()),
            nats,
        }
    }

    async fn operator(&self) -> Operator {
        let operator = Operator::start(&self.nats, &Memory::default()).await;
        eventually("the operator is ready", async || operator.is_ready().await).await;
        eventually("the buckets exist", async || {
            self.observed.load().await.is_ok()
        })
        .await;
        operator
    }

    /// A device that registered with these labels, and its link.
    async fn device(&self, id: &str, labels: &str) -> (Device, NatsWorkloadLink) {
        let mut device = Device::new(&self.nats, id, "b1").await;
        device.info.labels = labels.parse().unwrap();
        assert!(matches!(
            device.register(None).await,
            Ok(RegistrationReply::Accepted { .. })
        ));
        let connection = NatsConnection::connect(&self.nats.options(id).unwrap())
            .await
            .unwrap();
        let link = NatsWorkloadLink::new(connection, &tenant(), &id.parse().unwrap());
        link.desired().await.unwrap();
        (device, link)
    }

    async fn apply(&self, deployment: &StoredDeployment) {
        let stored = self.deployments.read(&deployment.name).await.unwrap();
        let expected = stored.map_or(Expected::Absent, |it| Expected::Revision(it.revision));
        self.deployments.write(deployment, expected).await.unwrap();
    }

    async fn delete(&self, name: &str) {
        let name: DeploymentName = name.parse().unwrap();
        let stored = self.deployments.read(&name).await.unwrap().unwrap();
        self.deployments
            .delete(&name, Expected::Revision(stored.revision))
            .await
            .unwrap();
    }

    async fn stored(&self, device: &str) -> Option<DesiredState> {
        let stored = self.desired.read(&device.parse().unwrap()).await.ok()??;
        stored.value.ok()
    }
}

fn names(state: &DesiredState) -> Vec<&str> {
    state
        .deployments
        .keys()
        .map(DeploymentName::as_str)
        .collect()
}

/// What a device reports that runs what it was told.
fn report(state: &DesiredState, sequence: u64) -> ObservedState {
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
        sequence,
        generation: state.generation,
        deployments: deployments.collect(),
    }
}

/// The next state that the device accepts: a lower generation than the one that it has is ignored.
async fn accepted(link: &NatsWorkloadLink, after: Generation) -> DesiredState {
    let wait = async {
        loop {
            let state = link.pushed().await;
            if state.generation > after {
                return state;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), wait)
        .await
        .unwrap()
}

const LYON: &str = r#"{"labels": {"site": "lyon"}}"#;

#[tokio::test]
async fn an_apply_reaches_the_devices_that_it_means_and_no_others() {
    let parts = Parts::start().await;
    let operator = parts.operator().await;
    let (mut pump, link) = parts.device("pump-1", "site=lyon").await;
    let (_valve, _) = parts.device("valve-1", "site=nice").await;

    let sent = Instant::now();
    parts.apply(&deployment("web", LYON, 80)).await;
    let first = accepted(&link, Generation(0)).await;
    assert!(
        sent.elapsed() < Duration::from_secs(2),
        "{:?}",
        sent.elapsed()
    );
    assert_eq!(names(&first), ["web"]);
    assert_eq!(link.desired().await.unwrap(), Some(first.clone()));
    assert_eq!(parts.stored("valve-1").await, None);
    link.report(&report(&first, 1)).await.unwrap();
    eventually("the metrics count it", async || {
        let metrics = operator.get("/metrics").await;
        metrics.contains("fleet_deployments_on_devices{phase=\"running\"} 1\n")
            && metrics.contains("fleet_nats_problems 0\n")
            && metrics.contains("fleet_deployment_conflicts 0\n")
    })
    .await;

    // A second deployment wants the same port: nothing changes, and the conflict is counted.
    parts
        .apply(&deployment("api", r#"{"devices": ["pump-1"]}"#, 80))
        .await;
    eventually("the conflict is counted", async || {
        operator
            .get("/metrics")
            .await
            .contains("fleet_deployment_conflicts 2\n")
    })
    .await;
    assert_eq!(parts.stored("pump-1").await, Some(first.clone()));
    parts.delete("api").await;

    // A new device is told what its labels mean, and one whose labels change leaves.
    let (_late, late_link) = parts.device("pump-2", "site=lyon").await;
    eventually("the new device is told", async || {
        late_link
            .desired()
            .await
            .unwrap()
            .is_some_and(|it| names(&it) == ["web"])
    })
    .await;
    pump.info.labels = "site=nice".parse().unwrap();
    pump.boot = "b2".into();
    assert!(matches!(
        pump.register(Some("b1")).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    let moved = accepted(&link, first.generation).await;
    assert_eq!((moved.generation, names(&moved)), (Generation(2), vec![]));

    parts.delete("web").await;
    eventually("it is removed", async || {
        parts
            .stored("pump-2")
            .await
            .is_some_and(|it| it.deployments.is_empty())
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn lost_and_restored_buckets_are_rebuilt_and_no_device_goes_back() {
    let parts = Parts::start().await;
    let operator = parts.operator().await;
    let (mut pump, link) = parts.device("pump-1", "site=lyon").await;
    parts.apply(&deployment("web", LYON, 80)).await;
    let old = accepted(&link, Generation(0)).await;
    parts.apply(&deployment("web", LYON, 81)).await;
    let new = accepted(&link, old.generation).await;
    link.report(&report(&new, 1)).await.unwrap();

    // The desired states are lost while the operator runs.
    let raw = async_nats_client(&parts.nats).await;
    raw.delete_stream("KV_desired").await.unwrap();
    let rebuilt = accepted(&link, new.generation).await;
    assert_eq!(rebuilt.deployments, new.deployments);
    link.report(&report(&rebuilt, 2)).await.unwrap();

    // They are lost while no operator runs, and the deployments, too: the device keeps what it has.
    operator.stop().await;
    raw.delete_stream("KV_desired").await.unwrap();
    raw.delete_stream("KV_deployments").await.unwrap();
    let operator = parts.operator().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        parts.stored("pump-1").await,
        None,
        "nobody knows what it should be"
    );
    parts.apply(&deployment("web", LYON, 81)).await;
    let again = accepted(&link, rebuilt.generation).await;
    assert_eq!(again.deployments, new.deployments);
    link.report(&report(&again, 3)).await.unwrap();

    // An old copy is restored.
    let stored = parts
        .desired
        .read(&"pump-1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let expected = Expected::Revision(stored.revision);
    parts
        .desired
        .write(&"pump-1".parse().unwrap(), &old, expected)
        .await
        .unwrap();
    let forward = accepted(&link, again.generation).await;
    assert_eq!(forward.deployments, new.deployments);

    // The reports are lost: the device is asked for them, once it is online.
    raw.delete_stream("KV_observed").await.unwrap();
    let listen = async {
        loop {
            link.pushed().await;
        }
    };
    let check = eventually("the report is back", async || {
        pump.beat().await;
        let stored = parts.observed.read(&"pump-1".parse().unwrap()).await;
        stored.is_ok_and(|it| it.is_some())
    });
    // What it reported last is about an earlier generation, so it reports about this one first.
    let raw_report = report(&forward, 4);
    eventually("the bucket is back", async || {
        link.report(&raw_report).await.is_ok()
    })
    .await;
    raw.delete_stream("KV_observed").await.unwrap();
    tokio::select! {
        () = check => {}
        () = listen => {}
    }
    operator.stop().await;
}

#[tokio::test]
async fn deployments_that_disappear_stay_on_devices_until_they_are_deleted() {
    let parts = Parts::start().await;
    let operator = parts.operator().await;
    let (_pump, link) = parts.device("pump-1", "site=lyon").await;
    parts.apply(&deployment("web", LYON, 80)).await;
    let first = accepted(&link, Generation(0)).await;
    let raw = async_nats_client(&parts.nats).await;
    raw.delete_stream("KV_deployments").await.unwrap();
    eventually("the bucket is back", async || {
        parts.deployments.load().await.is_ok()
    })
    .await;

    // Another one arrives; the one that disappeared stays.
    parts.apply(&deployment("api", LYON, 81)).await;
    let both = accepted(&link, first.generation).await;
    assert_eq!(names(&both), ["api", "web"]);
    let name = "web".parse().unwrap();
    parts
        .deployments
        .delete(&name, Expected::Absent)
        .await
        .unwrap();
    assert_eq!(names(&accepted(&link, both.generation).await), ["api"]);

    // One that cannot be read stays, too.
    let broken = raw
        .publish("$KV.deployments.acme.api", "{".into())
        .await
        .unwrap();
    broken.await.unwrap();
    parts.apply(&deployment("more", LYON, 82)).await;
    eventually("the third is there", async || {
        parts
            .stored("pump-1")
            .await
            .is_some_and(|it| names(&it) == ["api", "more"])
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn two_operators_write_each_state_once_and_agree() {
    let parts = Parts::start().await;
    let (first, second) = (parts.operator().await, parts.operator().await);
    let mut links = Vec::new();
    for n in 0..20 {
        links.push(parts.device(&format!("pump-{n}"), "site=lyon").await.1);
    }
    for port in [80, 81, 82] {
        parts.apply(&deployment("web", LYON, port)).await;
        for link in &links {
            let state = accepted(link, Generation(u64::from(port) - 80)).await;
            link.report(&report(&state, u64::from(port))).await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let states = parts.desired.load().await.unwrap();
    for (device, state) in states {
        assert_eq!(state.value.unwrap().generation, Generation(3), "{device}");
    }
    // Nobody wrote anything that was not needed.
    let raw = async_nats_client(&parts.nats).await;
    let mut stream = raw.get_stream("KV_desired").await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    assert_eq!((state.last_sequence, state.consumer_count), (60, 0));
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn wrong_settings_of_nats_are_warnings_for_tools() {
    let parts = Parts::start().await;
    let raw = async_nats_client(&parts.nats).await;
    let by_hand = async_nats::jetstream::kv::Config {
        bucket: "desired".into(),
        ..Default::default()
    };
    raw.create_key_value(by_hand).await.unwrap();
    let operator = parts.operator().await;
    let tools = directory(&parts.nats).await;
    eventually("tools are warned", async || {
        tools.devices().await.is_ok_and(|listing| {
            listing
                .warnings
                .iter()
                .any(|it| it.contains("bucket `desired` of NATS: "))
        })
    })
    .await;
    operator.stop().await;
}
