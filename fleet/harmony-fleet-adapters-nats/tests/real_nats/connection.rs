use super::*;
use harmony_fleet_adapters_nats::{NatsAuth, NatsConnectError};

#[tokio::test]
async fn a_wrong_password_is_told_from_a_server_that_is_not_there() {
    let nats = TestNats::start().unwrap();
    let mut options = nats.options("test").unwrap();
    options.auth = NatsAuth::resolve(Some("fleet"), Some("wr0ng".into()), None).unwrap();
    let refused = NatsConnection::connect(&options).await.unwrap_err();
    assert!(
        matches!(refused, NatsConnectError::Refused { .. }),
        "{refused:?}"
    );
    assert_eq!(
        refused.to_string(),
        format!("NATS at `{}` rejected user `fleet`", nats.url())
    );
    assert!(!format!("{refused:?}").contains("wr0ng"));

    let options = nats.options("test").unwrap();
    drop(nats);
    let unreachable = NatsConnection::connect(&options).await.unwrap_err();
    assert!(
        matches!(unreachable, NatsConnectError::Unreachable { .. }),
        "{unreachable:?}"
    );
}

#[tokio::test]
async fn a_service_may_start_before_its_server() {
    let mut nats = TestNats::start().unwrap();
    let options = nats.options("service").unwrap();
    nats.kill();
    let connection = NatsConnection::connect_in_background(&options)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!connection.is_up());
    nats.start_again().unwrap();
    eventually("the service connects", async || connection.is_up()).await;
}

#[tokio::test]
async fn a_killed_server_is_found_again_and_its_return_is_told() {
    let mut nats = TestNats::start().unwrap();
    let connection = connect(&nats, "service").await;
    let waiting = connection.clone();
    let returned = tokio::spawn(async move { waiting.reconnected().await });
    nats.kill();
    eventually("the loss is noticed", async || !connection.is_up()).await;
    assert!(!returned.is_finished());
    nats.start_again().unwrap();
    tokio::time::timeout(Duration::from_secs(10), returned)
        .await
        .unwrap()
        .unwrap();
    assert!(connection.is_up());
}
