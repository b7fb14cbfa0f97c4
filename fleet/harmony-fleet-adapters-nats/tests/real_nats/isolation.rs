//! Tests the NATS permissions in the contract with a real server.

use std::time::Duration;

use futures_util::StreamExt;
use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_fleet_adapters_nats::{
    CommandServer, Fabric, NatsAuth, NatsConnection, NatsDeploymentStore,
    NatsDesiredStatePublisher, NatsDeviceCommander, NatsObservedStateConsumer, NatsOptions,
    NatsWorkloadLink,
};
use harmony_fleet_domain::{
    DeploymentStore, DesiredStatePublisher, DeviceCommander, Expected, ObservedStateConsumer,
    WorkloadLink,
};
use harmony_reconciler_contracts::{
    Command, CommandError, CommandOutcome, DesiredState, DeviceId, ObservedState, Permissions,
    StoredDeployment, TenantId, subjects,
};

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn user(name: &str, permissions: &Permissions) -> String {
    let list = |subjects: &[String]| format!("{subjects:?}");
    format!(
        "{{ user: {name}, password: pw, permissions: {{ publish: {{ allow: {}, deny: {deny} }}, \
         subscribe: {{ allow: {}, deny: {deny} }}{} }} }}\n",
        list(&permissions.publish),
        list(&permissions.subscribe),
        if permissions.reply {
            ", allow_responses: true"
        } else {
            ""
        },
        deny = list(&permissions.deny),
    )
}

fn server() -> TestNats {
    let users = user("agent", &Permissions::of_agents(&tenant()))
        + &user("tools", &Permissions::of_tools(&tenant()))
        + "{ user: operator, password: pw }\n";
    TestNats::start_with(&format!("authorization {{ users: [\n{users}] }}\n")).unwrap()
}

async fn raw(nats: &TestNats, user: &str) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password(user.into(), "pw".into())
        .connect(nats.url())
        .await
        .unwrap()
}

async fn hears(client: &async_nats::Client, subject: &str, speak: impl AsyncFnOnce()) -> bool {
    let mut heard = client.subscribe(subject.to_owned()).await.unwrap();
    client.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    speak().await;
    tokio::time::timeout(Duration::from_millis(500), heard.next())
        .await
        .is_ok_and(|message| message.is_some())
}

fn options(nats: &TestNats, user: &str) -> NatsOptions {
    let auth = NatsAuth::UserPassword {
        user: user.into(),
        password: "pw".into(),
    };
    NatsOptions::for_tools(nats.url().parse().unwrap(), auth, user)
}

/// A real ping, which shows that the permissions are not only strict but also sufficient.
async fn ping(nats: &TestNats) {
    let device: DeviceId = "pump-1".parse().unwrap();
    let mut agent = options(nats, "agent");
    agent.inbox_prefix = Some(subjects::device_inbox_prefix(&device));
    let agent = NatsConnection::connect(&agent).await.unwrap();
    let server = CommandServer::new(agent, &tenant(), &device, "b1".parse().unwrap());
    let tools = NatsConnection::connect(&options(nats, "tools"))
        .await
        .unwrap();
    let commander = NatsDeviceCommander::new(tools, tenant());
    let answer = |command| async move {
        match command {
            Command::Ping { sequence, .. } => Ok(CommandOutcome::Pong {
                sequence,
                agent_version: "1".into(),
            }),
            _ => Err(CommandError::Other),
        }
    };
    let pinged = async {
        for _ in 0..50 {
            if commander.ping(&device, 1).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    };
    tokio::select! {
        _ = server.serve(answer) => panic!("the server ended"),
        pinged = pinged => assert!(pinged, "no ping came through"),
    }
}

#[tokio::test]
async fn an_agent_reads_no_replies_to_tools_and_operators() {
    let nats = server();
    let agent = raw(&nats, "agent").await;
    for subject in [
        "_INBOX.>",
        "_INBOX.tools.>",
        "_INBOX.operator.>",
        "_INBOX.*.*",
        ">",
    ] {
        assert!(
            !hears(&agent, subject, async || ping(&nats).await).await,
            "{subject}"
        );
    }
}

#[tokio::test]
async fn an_agent_neither_reads_nor_writes_the_operators_subjects() {
    let nats = server();
    let (agent, operator) = (raw(&nats, "agent").await, raw(&nats, "operator").await);
    for subject in [
        subjects::operator_heartbeat(&tenant()),
        subjects::list_devices(&tenant()),
        "fleet.v1.acme._operator.register".into(),
        "fleet.v1.acme._operator.cmd".into(),
    ] {
        let write = async |from: &async_nats::Client| {
            from.publish(subject.clone(), "x".into()).await.unwrap();
            from.flush().await.unwrap();
        };
        assert!(
            !hears(&operator, &subject, async || write(&agent).await).await,
            "{subject}"
        );
        assert!(
            !hears(&agent, &subject, async || write(&operator).await).await,
            "{subject}"
        );
        // A wildcard that covers it does not deliver it either.
        let wildcard = subjects::commands_to_all(&tenant());
        assert!(
            !hears(&agent, &wildcard, async || write(&operator).await).await,
            "{subject}"
        );
    }
}

/// What an agent and a tool need for deployments, and what they must not do.
#[tokio::test]
async fn deployments_reach_a_device_with_these_permissions_and_no_more() {
    let nats = server();
    let device: DeviceId = "pump-1".parse().unwrap();
    let operator = NatsConnection::connect(&options(&nats, "operator"))
        .await
        .unwrap();
    Fabric::new(operator.clone()).prepare().await.unwrap();
    let publisher = NatsDesiredStatePublisher::new(operator, tenant());
    publisher
        .write(&device, &DesiredState::default(), Expected::Absent)
        .await
        .unwrap();

    let mut as_agent = options(&nats, "agent");
    as_agent.inbox_prefix = Some(subjects::device_inbox_prefix(&device));
    let agent = NatsConnection::connect(&as_agent).await.unwrap();
    let link = NatsWorkloadLink::new(agent.clone(), &tenant(), &device);
    assert_eq!(link.desired().await.unwrap(), Some(DesiredState::default()));
    let expected = publisher.read(&device).await.unwrap().unwrap().revision;
    publisher
        .write(
            &device,
            &DesiredState::default(),
            Expected::Revision(expected),
        )
        .await
        .unwrap();
    assert_eq!(link.pushed().await, DesiredState::default());
    let report: ObservedState =
        serde_json::from_str(r#"{"boot": "b1", "sequence": 1, "generation": 0}"#).unwrap();
    link.report(&report).await.unwrap();

    let mut as_tools = options(&nats, "tools");
    as_tools.request_timeout = Duration::from_millis(500);
    let tools = NatsConnection::connect(&as_tools).await.unwrap();
    let deployments = NatsDeploymentStore::new(tools.clone(), tenant());
    let web: StoredDeployment = serde_json::from_str(
        r#"{"name": "web", "target": {"all": true}, "score": {"type": "X", "data": {}}}"#,
    )
    .unwrap();
    let revision = deployments.write(&web, Expected::Absent).await.unwrap();
    assert_eq!(deployments.load().await.unwrap().values.len(), 1);
    deployments
        .delete(&web.name, Expected::Revision(revision))
        .await
        .unwrap();
    let desired = NatsDesiredStatePublisher::new(tools.clone(), tenant());
    assert_eq!(desired.load().await.unwrap().len(), 1);
    let observed = NatsObservedStateConsumer::new(tools.clone(), tenant());
    assert_eq!(observed.load().await.unwrap().len(), 1);

    // Nothing else: tools do not write states, agents do not write desired states or deployments, and nobody reads the
    // values of another tenant.
    let state = DesiredState::default();
    assert!(
        desired
            .write(&device, &state, Expected::Absent)
            .await
            .is_err()
    );
    let others = NatsDeploymentStore::new(tools, "other".parse().unwrap());
    assert!(others.write(&web, Expected::Absent).await.is_err());
    assert!(others.read(&web.name).await.is_err());
    as_agent.request_timeout = Duration::from_millis(500);
    let agent = NatsConnection::connect(&as_agent).await.unwrap();
    let desired = NatsDesiredStatePublisher::new(agent.clone(), tenant());
    assert!(
        desired
            .write(&device, &state, Expected::Absent)
            .await
            .is_err()
    );
    assert!(desired.load().await.is_err());
    let deployments = NatsDeploymentStore::new(agent, tenant());
    assert!(deployments.write(&web, Expected::Absent).await.is_err());
    assert!(deployments.read(&web.name).await.is_err());
}
