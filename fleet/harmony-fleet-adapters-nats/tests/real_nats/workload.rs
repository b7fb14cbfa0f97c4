use super::*;
use async_nats::jetstream;
use harmony_fleet_adapters_nats::{
    Fabric, NatsDeploymentStore, NatsDesiredStatePublisher, NatsObservedStateConsumer,
    NatsWorkloadLink,
};
use harmony_fleet_domain::{
    DeploymentStore, DesiredStatePublisher, Expected, LinkError, ObservedStateConsumer, Revision,
    StoreError, StoredDeployments, Unreadable, WorkloadLink,
};
use harmony_reconciler_contracts::{
    DesiredState, Generation, ObservedState, StoredDeployment, subjects,
};

async fn raw(nats: &TestNats) -> jetstream::Context {
    let (user, password) = (nats.user().into(), nats.password().into());
    let options = async_nats::ConnectOptions::with_user_and_password(user, password);
    jetstream::new(options.connect(nats.url()).await.unwrap())
}

fn desired(generation: u64) -> DesiredState {
    DesiredState {
        version: SchemaVersion::CURRENT,
        generation: Generation(generation),
        deployments: std::collections::BTreeMap::new(),
    }
}

fn observed(boot: &str, sequence: u64) -> ObservedState {
    ObservedState {
        version: SchemaVersion::CURRENT,
        boot: boot.parse().unwrap(),
        sequence,
        generation: Generation(1),
        deployments: std::collections::BTreeMap::new(),
    }
}

fn deployment(name: &str) -> StoredDeployment {
    let target = serde_json::json!({"all": true});
    let score = serde_json::json!({"type": "PodmanV0", "data": {"containers": {}}});
    let deployment = serde_json::json!({"v": 1, "name": name, "target": target, "score": score});
    serde_json::from_value(deployment).unwrap()
}

async fn prepared(nats: &TestNats) -> NatsConnection {
    let connection = connect(nats, "operator").await;
    let prepared = Fabric::new(connection.clone()).prepare().await.unwrap();
    assert_eq!(prepared.problems, Vec::<String>::new());
    connection
}

#[tokio::test]
async fn a_desired_state_is_pushed_and_can_be_read() {
    let nats = TestNats::start().unwrap();
    let pump = device("pump-1");
    let link = NatsWorkloadLink::new(connect(&nats, "pump-1").await, &tenant(), &pump);
    let missing = link.desired().await.unwrap_err();
    assert!(
        matches!(missing, LinkError::NoOperator { .. }),
        "{missing:?}"
    );

    let connection = prepared(&nats).await;
    let publisher = NatsDesiredStatePublisher::new(connection, tenant());
    assert_eq!(link.desired().await.unwrap(), None);
    let first = publisher
        .write(&pump, &desired(1), Expected::Absent)
        .await
        .unwrap();
    // The states of other devices and tenants are not heard.
    publisher
        .write(&device("pump-10"), &desired(9), Expected::Absent)
        .await
        .unwrap();
    assert_eq!(link.pushed().await, desired(1));
    assert_eq!(link.desired().await.unwrap(), Some(desired(1)));
    // Between two calls, nothing is lost; a call that is given up loses nothing either.
    let revision = publisher
        .write(&pump, &desired(2), Expected::Revision(first))
        .await
        .unwrap();
    tokio::select! {
        biased;
        () = std::future::ready(()) => {}
        _ = link.pushed() => panic!("it was not polled"),
    }
    publisher
        .write(&pump, &desired(3), Expected::Revision(revision))
        .await
        .unwrap();
    assert_eq!(link.pushed().await, desired(2));
    assert_eq!(link.pushed().await, desired(3));
    assert_eq!(link.desired().await.unwrap(), Some(desired(3)));
    // `desired` works while `pushed` waits.
    tokio::select! {
        state = link.desired() => assert_eq!(state.unwrap(), Some(desired(3))),
        state = link.pushed() => panic!("nobody wrote {state:?}"),
    }

    for stale in [Expected::Absent, Expected::Revision(first)] {
        let error = publisher
            .write(&pump, &desired(4), stale)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict { key } if key == "acme.pump-1"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_later_report_stays() {
    let nats = TestNats::start().unwrap();
    let connection = prepared(&nats).await;
    let pump = device("pump-1");
    let reports = NatsObservedStateConsumer::new(connection.clone(), tenant());
    let stored = async || {
        let stored = reports.read(&pump).await.unwrap();
        stored.map(|stored| stored.value.unwrap())
    };
    let link = async || NatsWorkloadLink::new(connect(&nats, "pump-1").await, &tenant(), &pump);
    let (one, two) = (link().await, link().await);
    assert_eq!(stored().await, None);
    one.report(&observed("b1", 1)).await.unwrap();
    two.report(&observed("b1", 3)).await.unwrap();
    one.report(&observed("b1", 2)).await.unwrap();
    assert_eq!(
        stored().await,
        Some(observed("b1", 3)),
        "a later one is there"
    );
    one.report(&observed("b2", 1)).await.unwrap();
    assert_eq!(
        stored().await,
        Some(observed("b2", 1)),
        "another boot is later"
    );

    // The bucket is lost: a desired state that is stored again asks for the report.
    raw(&nats).await.delete_stream("KV_observed").await.unwrap();
    let away = one.report(&observed("b2", 2)).await.unwrap_err();
    assert!(matches!(away, LinkError::NoOperator { .. }), "{away:?}");
    Fabric::new(connection.clone()).prepare().await.unwrap();
    let publisher = NatsDesiredStatePublisher::new(connection, tenant());
    one.desired().await.unwrap();
    publisher
        .write(&pump, &desired(1), Expected::Absent)
        .await
        .unwrap();
    assert_eq!(one.pushed().await, desired(1));
    assert_eq!(stored().await, Some(observed("b2", 1)));
}

#[tokio::test]
async fn a_device_needs_no_consumer_and_reads_in_one_request() {
    const DEVICES: usize = 50;
    let nats = TestNats::start().unwrap();
    let connection = prepared(&nats).await;
    let publisher = NatsDesiredStatePublisher::new(connection.clone(), tenant());
    let mut links = Vec::new();
    for n in 0..DEVICES {
        let name = device(&format!("pump-{n}"));
        let link = NatsWorkloadLink::new(connect(&nats, name.as_str()).await, &tenant(), &name);
        publisher
            .write(&name, &desired(1), Expected::Absent)
            .await
            .unwrap();
        assert_eq!(link.desired().await.unwrap(), Some(desired(1)));
        link.report(&observed("b1", 1)).await.unwrap();
        links.push((name, link));
    }
    let all = publisher.load().await.unwrap();
    assert_eq!(all.len(), DEVICES);
    for (name, link) in &links {
        let expected = Expected::Revision(all[name].revision);
        publisher.write(name, &desired(2), expected).await.unwrap();
        assert_eq!(link.pushed().await, desired(2));
    }
    for bucket in ["desired", "observed", "deployments"] {
        let mut stream = raw(&nats)
            .await
            .get_stream(subjects::stream(bucket))
            .await
            .unwrap();
        assert_eq!(
            stream.info().await.unwrap().state.consumer_count,
            0,
            "{bucket}"
        );
    }
}

#[tokio::test]
async fn deployments_are_written_listed_and_deleted() {
    let nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let store = NatsDeploymentStore::new(connection.clone(), tenant());
    for error in [
        store.load().await.unwrap_err(),
        store.read(&"web".parse().unwrap()).await.unwrap_err(),
        store
            .write(&deployment("web"), Expected::Absent)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    }
    Fabric::new(connection.clone()).prepare().await.unwrap();
    assert_eq!(store.load().await.unwrap(), StoredDeployments::default());
    let first = store
        .write(&deployment("web"), Expected::Absent)
        .await
        .unwrap();
    store
        .write(&deployment("api"), Expected::Absent)
        .await
        .unwrap();
    let others = NatsDeploymentStore::new(connection.clone(), "acme-2".parse().unwrap());
    others
        .write(&deployment("web"), Expected::Absent)
        .await
        .unwrap();
    assert_eq!(store.load().await.unwrap().values.len(), 2);

    let web = "web".parse().unwrap();
    let wrong = store
        .delete(&web, Expected::Revision(Revision(99)))
        .await
        .unwrap_err();
    assert!(matches!(wrong, StoreError::Conflict { .. }), "{wrong:?}");
    store.delete(&web, Expected::Revision(first)).await.unwrap();
    let all = store.load().await.unwrap();
    assert_eq!((all.values.len(), all.deleted.contains(&web)), (1, true));
    assert_eq!(store.read(&web).await.unwrap(), None);
    store
        .write(&deployment("web"), Expected::Absent)
        .await
        .unwrap();
    let all = store.load().await.unwrap();
    assert_eq!((all.values.len(), all.deleted.len()), (2, 0));

    // What cannot be read is named, and stays.
    for (name, value) in [("newer", r#"{"v": 99, "name": 7}"#), ("damaged", "{")] {
        let subject = format!("$KV.deployments.acme.{name}");
        raw(&nats)
            .await
            .publish(subject, value.into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    let all = store.load().await.unwrap();
    let problem = |name: &str| {
        all.values[&name.parse().unwrap()]
            .value
            .clone()
            .unwrap_err()
    };
    assert!(matches!(problem("newer"), Unreadable::Newer { .. }));
    assert!(matches!(problem("damaged"), Unreadable::Damaged { .. }));
}

#[tokio::test]
async fn wrong_settings_of_a_bucket_are_named_and_not_changed() {
    let nats = TestNats::start().unwrap();
    let by_hand = jetstream::kv::Config {
        bucket: "desired".into(),
        history: 1,
        ..Default::default()
    };
    raw(&nats).await.create_key_value(by_hand).await.unwrap();
    let fabric = Fabric::new(connect(&nats, "operator").await);
    for _ in 0..2 {
        let problems = fabric.prepare().await.unwrap().problems;
        for part in [
            "republish `$KV.desired.*.*`",
            "one value per key",
            "roll-ups",
        ] {
            let named = problems
                .iter()
                .any(|it| it.contains("`desired`") && it.contains(part));
            assert!(named, "{part}: {problems:?}");
        }
    }
}

#[tokio::test]
async fn pushes_and_reports_go_on_after_a_killed_server() {
    let mut nats = TestNats::start().unwrap();
    let connection = prepared(&nats).await;
    let pump = device("pump-1");
    let publisher = NatsDesiredStatePublisher::new(connection.clone(), tenant());
    let revision = publisher
        .write(&pump, &desired(1), Expected::Absent)
        .await
        .unwrap();
    let own = connect(&nats, "pump-1").await;
    let link = NatsWorkloadLink::new(own.clone(), &tenant(), &pump);
    assert_eq!(link.desired().await.unwrap(), Some(desired(1)));
    link.report(&observed("b1", 1)).await.unwrap();

    nats.kill();
    own.down().await;
    let away = link.desired().await.unwrap_err();
    assert!(matches!(away, LinkError::NotConnected { .. }), "{away:?}");
    let away = link.report(&observed("b1", 2)).await.unwrap_err();
    assert!(matches!(away, LinkError::NotConnected { .. }), "{away:?}");
    nats.start_again().unwrap();
    own.up().await;
    connection.up().await;
    eventually("the stored state can be read", async || {
        link.desired()
            .await
            .is_ok_and(|state| state == Some(desired(1)))
    })
    .await;
    publisher
        .write(&pump, &desired(2), Expected::Revision(revision))
        .await
        .unwrap();
    assert_eq!(link.pushed().await, desired(2));
    link.report(&observed("b1", 2)).await.unwrap();
    let reports = NatsObservedStateConsumer::new(connection, tenant());
    let stored = reports.read(&pump).await.unwrap().unwrap();
    assert_eq!(stored.value, Ok(observed("b1", 2)));
}
