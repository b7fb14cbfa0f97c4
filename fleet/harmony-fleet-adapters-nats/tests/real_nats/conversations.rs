use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use futures_util::StreamExt;
use harmony_fleet_adapters_nats::{
    CommandServer, NatsAgentLink, NatsDeviceCommander, NatsDeviceDirectory, NatsOperatorLink,
};
use harmony_fleet_domain::{
    AgentLink, CommandFailure, DeviceCommander, DeviceDirectory, DirectoryError, LinkError,
};
use harmony_reconciler_contracts::{
    BootId, Command, CommandError, CommandOutcome, DeviceListing, Heartbeat, ListedDevice,
    PresenceWord, RefusalReason, RegistrationReply, subjects,
};

fn boot() -> BootId {
    "b1".parse().unwrap()
}

fn heartbeat(sequence: u64) -> Heartbeat {
    Heartbeat {
        version: SchemaVersion::CURRENT,
        boot: boot(),
        sequence,
        leaving: false,
    }
}

/// The first message of a stream, while `send` is repeated.
async fn first_of<T>(
    messages: &mut (impl futures_util::Stream<Item = T> + Unpin),
    mut send: impl AsyncFnMut(),
) -> T {
    let mut first = None;
    eventually("a message arrives", async || {
        send().await;
        let next = tokio::time::timeout(Duration::from_millis(50), messages.next()).await;
        first = next.ok().flatten();
        first.is_some()
    })
    .await;
    first.unwrap()
}

#[tokio::test]
async fn a_device_registers_and_its_heartbeats_arrive() {
    let nats = TestNats::start().unwrap();
    let mut options = nats.options("agent").unwrap();
    options.inbox_prefix = Some(subjects::device_inbox_prefix(&device("pump-1")));
    let agent = NatsConnection::connect(&options).await.unwrap();
    let link = NatsAgentLink::new(agent, &tenant(), &device("pump-1"));

    let nobody = link.register(&registration("b1")).await.unwrap_err();
    assert!(matches!(nobody, LinkError::NoOperator { .. }), "{nobody:?}");

    let operator = NatsOperatorLink::new(connect(&nats, "operator").await, tenant());
    let mut registrations = Box::pin(operator.registrations().await.unwrap());
    let mut heartbeats = Box::pin(operator.heartbeats().await.unwrap());
    let served = tokio::spawn(async move {
        let request = registrations.next().await.unwrap();
        let device = request.device.clone();
        request.answer(&RegistrationReply::accepted()).await;
        device
    });
    eventually("the operator listens", async || {
        link.register(&registration("b1")).await.is_ok()
    })
    .await;
    assert_eq!(served.await.unwrap(), device("pump-1"));

    // The server may not know the second subscription yet; heartbeats are repeated anyway.
    let heard = first_of(&mut heartbeats, async || {
        link.heartbeat(&heartbeat(1)).await.unwrap();
    })
    .await;
    assert_eq!(heard, (device("pump-1"), heartbeat(1)));
}

#[tokio::test]
async fn the_operator_hears_only_its_tenant_and_only_what_makes_sense() {
    let nats = TestNats::start().unwrap();
    let raw = async_nats::ConnectOptions::with_user_and_password(
        nats.user().into(),
        nats.password().into(),
    )
    .connect(nats.url())
    .await
    .unwrap();
    let operator = NatsOperatorLink::new(connect(&nats, "operator").await, tenant());
    let mut heartbeats = Box::pin(operator.heartbeats().await.unwrap());
    let mut registrations = Box::pin(operator.registrations().await.unwrap());
    let valid = serde_json::to_vec(&heartbeat(7)).unwrap();
    let subject = subjects::heartbeat(&tenant(), &device("pump-1"));
    let first = serde_json::to_vec(&heartbeat(1)).unwrap();
    let publish = async |subject: &str, payload: Vec<u8>| {
        raw.publish(subject.to_owned(), payload.into())
            .await
            .unwrap();
        raw.flush().await.unwrap();
    };
    first_of(&mut heartbeats, async || {
        publish(&subject, first.clone()).await;
    })
    .await;
    operator.announce(&heartbeat(2)).await;
    for (subject, payload) in [
        ("fleet.v1.other.pump-1.hb", valid.clone()),
        ("fleet.v1.acme.Pump.hb", valid.clone()),
        ("fleet.v1.acme.pump-1.hb", b"not json".to_vec()),
        ("fleet.v1.acme.pump-1.hb", b"".to_vec()),
        ("fleet.v1.acme.pump-1.hb", valid),
    ] {
        publish(subject, payload).await;
    }
    let mut heard = heartbeats.next().await.unwrap();
    while heard.1 == heartbeat(1) {
        heard = heartbeats.next().await.unwrap();
    }
    assert_eq!(heard, (device("pump-1"), heartbeat(7)));

    let unreadable = tokio::spawn(async move { registrations.next().await.is_some() });
    let mut reply = None;
    eventually("the operator answers", async || {
        let answer = raw
            .request("fleet.v1.acme.pump-1.register", "{}".into())
            .await;
        reply = answer
            .ok()
            .map(|answer| serde_json::from_slice(&answer.payload).unwrap());
        reply.is_some()
    })
    .await;
    assert!(
        matches!(
            reply,
            Some(RegistrationReply::Refused {
                reason: RefusalReason::Malformed,
                ..
            })
        ),
        "{reply:?}"
    );
    unreadable.abort();
}

#[tokio::test]
async fn nothing_is_queued_while_the_server_is_away() {
    let mut nats = TestNats::start().unwrap();
    let connection = connect(&nats, "agent").await;
    let link = NatsAgentLink::new(connection.clone(), &tenant(), &device("pump-1"));
    nats.kill();
    eventually("the loss is noticed", async || !connection.is_up()).await;
    let error = link.heartbeat(&heartbeat(1)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("not connected to `{}`", nats.url())
    );
    assert!(matches!(
        link.register(&registration("b1")).await,
        Err(LinkError::NotConnected { .. })
    ));
}

/// A device that answers pings, counts requests to register, and fails all other commands.
async fn serve(nats: &TestNats, name: &str) -> (tokio::task::JoinHandle<()>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let server = CommandServer::new(connect(nats, name).await, &tenant(), &device(name), boot());
    let task = tokio::spawn(async move {
        let handle = |command| {
            let counter = counter.clone();
            async move {
                match command {
                    Command::Ping { sequence: 13, .. } => Err(CommandError::Failed {
                        detail: "unlucky".into(),
                    }),
                    Command::Ping { sequence, .. } => Ok(CommandOutcome::Pong {
                        sequence,
                        agent_version: "9.9.9".into(),
                    }),
                    _ => {
                        counter.fetch_add(1, Ordering::Relaxed);
                        Ok(CommandOutcome::Registering)
                    }
                }
            }
        };
        server.serve(handle).await.unwrap_err();
    });
    (task, asked)
}

#[tokio::test]
async fn commands_are_carried_out_and_failures_come_back_typed() {
    let mut nats = TestNats::start().unwrap();
    let tools = connect(&nats, "tools").await;
    let commander = NatsDeviceCommander::new(tools.clone(), tenant());
    let absent = commander.ping(&device("pump-1"), 1).await.unwrap_err();
    assert!(
        matches!(absent, CommandFailure::NotConnected { .. }),
        "{absent:?}"
    );

    let (_server, asked) = serve(&nats, "pump-1").await;
    eventually("the device answers", async || {
        commander.ping(&device("pump-1"), 1).await.is_ok()
    })
    .await;
    let pong = commander.ping(&device("pump-1"), 2).await.unwrap();
    assert_eq!(
        (pong.agent_version.as_str(), &pong.boot),
        ("9.9.9", &boot())
    );
    assert!(pong.round_trip < Duration::from_secs(2));

    let unlucky = commander.ping(&device("pump-1"), 13).await.unwrap_err();
    assert!(
        matches!(&unlucky, CommandFailure::Refused { source: CommandError::Failed { detail }, .. } if detail.as_str() == "unlucky"),
        "{unlucky:?}"
    );

    let raw = async_nats::ConnectOptions::with_user_and_password(
        nats.user().into(),
        nats.password().into(),
    )
    .connect(nats.url())
    .await
    .unwrap();
    for (payload, expected) in [
        ("{\"command\":\"reboot\"}", "\"unsupported\""),
        (
            "{\"command\":\"ping\",\"sequence\":\"x\"}",
            "\"unsupported\"",
        ),
        ("{}", "\"malformed\""),
        ("", "\"malformed\""),
    ] {
        let answer = raw
            .request("fleet.v1.acme.pump-1.cmd", payload.into())
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        assert!(text.contains(expected), "{payload}: {text}");
    }

    let operator = NatsOperatorLink::new(tools, tenant());
    operator.ask_to_register(&device("pump-1")).await;
    eventually("the device hears the operator", async || {
        asked.load(Ordering::Relaxed) == 1
    })
    .await;

    // The subscription survives the restart of the server.
    nats.start_again().unwrap();
    eventually("the device answers again", async || {
        commander.ping(&device("pump-1"), 3).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn the_list_of_devices_comes_in_pages() {
    let nats = TestNats::start().unwrap();
    let directory = NatsDeviceDirectory::new(connect(&nats, "tools").await, tenant());
    let nobody = directory.devices().await.unwrap_err();
    assert!(
        matches!(nobody, DirectoryError::NoOperator { .. }),
        "{nobody:?}"
    );

    let operator = NatsOperatorLink::new(connect(&nats, "operator").await, tenant());
    let mut requests = Box::pin(operator.list_requests().await.unwrap());
    let names: Vec<_> = (0..5).map(|n| device(&format!("d{n}"))).collect();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let after = request.request.after.clone();
            let mut rest = names
                .iter()
                .filter(|n| after.as_ref().is_none_or(|a| *n > a));
            let page = DeviceListing {
                version: SchemaVersion::CURRENT,
                devices: rest
                    .by_ref()
                    .take(2)
                    .map(|name| ListedDevice {
                        device: name.clone(),
                        presence: PresenceWord::Online,
                        last_seen_ms_ago: None,
                        duplicate: false,
                        info: DeviceInfo::default(),
                    })
                    .collect(),
                more: rest.next().is_some(),
                warnings: vec!["mind the gap".into()],
            };
            request.answer(&page).await;
        }
    });
    eventually("the operator listens", async || {
        directory.devices().await.is_ok()
    })
    .await;
    let listing = directory.devices().await.unwrap();
    let ids: Vec<_> = listing.devices.iter().map(|d| d.id.to_string()).collect();
    assert_eq!(ids, ["d0", "d1", "d2", "d3", "d4"]);
    assert_eq!(listing.warnings, ["mind the gap"]);
}
