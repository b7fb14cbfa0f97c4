use super::*;
use async_nats::jetstream;
use harmony_fleet_adapters_nats::NatsDeviceRegistry;
use harmony_fleet_domain::{DeviceRecord, DeviceRegistry, Expected, RegistryError, Revision};
use jiff::Timestamp;

fn record(name: &str, boot: &str) -> DeviceRecord {
    let registration = registration(boot);
    DeviceRecord {
        id: device(name),
        boot: registration.boot,
        interval: registration.heartbeat_seconds,
        info: registration.info,
        registered_at: Timestamp::UNIX_EPOCH,
    }
}

/// A separate client to inspect the server and to damage data.
async fn raw(nats: &TestNats) -> jetstream::Context {
    let client = async_nats::ConnectOptions::with_user_and_password(
        nats.user().into(),
        nats.password().into(),
    )
    .connect(nats.url())
    .await
    .unwrap();
    jetstream::new(client)
}

#[tokio::test]
async fn keeps_one_record_for_each_device_of_the_tenant() {
    let nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let registry = NatsDeviceRegistry::new(&connection, tenant());
    assert_eq!(
        registry.load().await.unwrap(),
        vec![],
        "an empty bucket is made and is empty"
    );

    let other = NatsDeviceRegistry::new(&connection, "acme-2".parse().unwrap());
    other
        .write(&record("pump-1", "x"), Expected::Absent)
        .await
        .unwrap();
    let first = registry
        .write(&record("pump-1", "b1"), Expected::Absent)
        .await
        .unwrap();
    let second = registry
        .write(&record("pump-1", "b2"), Expected::Revision(first))
        .await
        .unwrap();
    assert!(second > first);
    for n in 0..100 {
        registry
            .write(&record(&format!("valve-{n}"), "b1"), Expected::Absent)
            .await
            .unwrap();
    }

    let mut all = registry.load().await.unwrap();
    all.sort_by_key(|(record, _)| record.id.clone());
    assert_eq!(all.len(), 101);
    assert_eq!(all[0], (record("pump-1", "b2"), second));
    let slot = registry.read(&device("pump-1")).await.unwrap();
    assert_eq!(slot.record, Some(record("pump-1", "b2")));
    assert_eq!(slot.expected, Expected::Revision(second));
    let none = registry.read(&device("nobody")).await.unwrap();
    assert_eq!((none.record, none.expected), (None, Expected::Absent));
}

#[tokio::test]
async fn a_second_writer_is_noticed() {
    let nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let (a, b) = (
        NatsDeviceRegistry::new(&connection, tenant()),
        NatsDeviceRegistry::new(&connection, tenant()),
    );
    let first = a
        .write(&record("pump-1", "b1"), Expected::Absent)
        .await
        .unwrap();
    b.write(&record("pump-1", "b2"), Expected::Revision(first))
        .await
        .unwrap();
    for expected in [
        Expected::Revision(first),
        Expected::Absent,
        Expected::Revision(Revision(999)),
    ] {
        let error = a
            .write(&record("pump-1", "b3"), expected)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RegistryError::Conflict { device } if device.as_str() == "pump-1"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn damage_is_survived() {
    let nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let registry = NatsDeviceRegistry::new(&connection, tenant());
    registry
        .write(&record("pump-1", "b1"), Expected::Absent)
        .await
        .unwrap();

    // An invalid value is left out and can be overwritten.
    let bucket = raw(&nats).await.get_key_value("devices").await.unwrap();
    bucket.put("acme.pump-2", "not json".into()).await.unwrap();
    assert_eq!(registry.load().await.unwrap().len(), 1);
    let slot = registry.read(&device("pump-2")).await.unwrap();
    assert_eq!(slot.record, None);
    registry
        .write(&record("pump-2", "b1"), slot.expected)
        .await
        .unwrap();
    assert_eq!(registry.load().await.unwrap().len(), 2);

    // A deleted key does not exist and can be written again.
    bucket.delete("acme.pump-2").await.unwrap();
    assert_eq!(registry.load().await.unwrap().len(), 1);
    registry
        .write(&record("pump-2", "b2"), Expected::Absent)
        .await
        .unwrap();

    // A deleted bucket is created again.
    raw(&nats).await.delete_key_value("devices").await.unwrap();
    let lost = registry
        .write(&record("pump-1", "b2"), Expected::Absent)
        .await;
    assert!(
        matches!(lost, Err(RegistryError::Unavailable { .. })),
        "{lost:?}"
    );
    registry
        .write(&record("pump-1", "b2"), Expected::Absent)
        .await
        .unwrap();
    assert_eq!(registry.load().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_device_is_removed_without_a_trace_unless_it_was_written_meanwhile() {
    let nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let registry = NatsDeviceRegistry::new(&connection, tenant());
    let write = |name: &'static str, boot: &'static str, expected| {
        let (registry, record) = (&registry, record(name, boot));
        async move { registry.write(&record, expected).await.unwrap() }
    };
    let first = write("pump-1", "b1", Expected::Absent).await;
    let second = write("pump-1", "b2", Expected::Revision(first)).await;
    let other = write("pump-10", "b1", Expected::Absent).await;

    // Decided upon the first revision, carried out after the second was written.
    registry.remove(&device("pump-1"), first).await.unwrap();
    let slot = registry.read(&device("pump-1")).await.unwrap();
    assert_eq!(slot.expected, Expected::Revision(second));

    for _ in 0..2 {
        registry.remove(&device("pump-1"), second).await.unwrap();
        assert_eq!(
            registry.load().await.unwrap(),
            [(record("pump-10", "b1"), other)]
        );
    }
    let mut stream = raw(&nats).await.get_stream("KV_devices").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
    // The name is free again.
    write("pump-1", "b3", Expected::Absent).await;
}

#[tokio::test]
async fn what_was_written_survives_a_killed_server() {
    let mut nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let registry = NatsDeviceRegistry::new(&connection, tenant());
    let revision = registry
        .write(&record("pump-1", "b1"), Expected::Absent)
        .await
        .unwrap();
    nats.kill();
    let away = registry.read(&device("pump-1")).await.unwrap_err();
    assert!(
        matches!(away, RegistryError::Unavailable { .. }),
        "{away:?}"
    );
    nats.start_again().unwrap();
    eventually("the registry answers", async || {
        registry.load().await.is_ok()
    })
    .await;
    assert_eq!(
        registry.load().await.unwrap(),
        vec![(record("pump-1", "b1"), revision)]
    );
    registry
        .write(&record("pump-1", "b2"), Expected::Revision(revision))
        .await
        .unwrap();
}

#[tokio::test]
async fn listing_makes_no_consumer() {
    let nats = TestNats::start().unwrap();
    let connection = connect(&nats, "operator").await;
    let registry = NatsDeviceRegistry::new(&connection, tenant());
    registry
        .write(&record("pump-1", "b1"), Expected::Absent)
        .await
        .unwrap();
    for _ in 0..5 {
        registry.load().await.unwrap();
    }
    let mut stream = raw(&nats).await.get_stream("KV_devices").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.consumer_count, 0);
}
