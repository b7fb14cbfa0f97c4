//! Tests the operator's library with a real nats-server, and copies the devices to memory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panic"
)]

mod dispatch;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_fleet_adapters_nats::{NatsAgentLink, NatsConnection, NatsDeviceDirectory};
use harmony_fleet_domain::{
    AgentLink, DeviceDirectory, DeviceSummary, FleetDevice, FleetReflector, FleetState, LinkError,
    Presence, ReflectError, Reflected,
};
use harmony_fleet_operator::{Settings, run};
use harmony_reconciler_contracts::{
    DeviceId, DeviceInfo, Heartbeat, HeartbeatInterval, RefusalReason, Registration,
    RegistrationReply, SchemaVersion, TenantId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// Copies devices to memory; can be told to fail.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<(Vec<FleetDevice>, bool)>>);

#[async_trait]
impl FleetReflector for Memory {
    async fn reflect(&self, devices: &[FleetDevice]) -> Result<Reflected, ReflectError> {
        let mut inner = self.0.lock().unwrap();
        if inner.1 {
            return Err(ReflectError::NotInstalled {
                resource: "devices".into(),
            });
        }
        inner.0 = devices.to_vec();
        Ok(Reflected::default())
    }
}

impl Memory {
    fn fail(&self, fail: bool) {
        self.0.lock().unwrap().1 = fail;
    }

    fn presences(&self) -> Vec<(String, Option<Presence>)> {
        let inner = self.0.lock().unwrap();
        inner
            .0
            .iter()
            .map(|d| (d.record.id.to_string(), d.presence))
            .collect()
    }
}

struct Operator {
    health: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    async fn start(nats: &TestNats, shown: &Memory) -> Self {
        Self::start_forgetting(nats, shown, FleetState::FORGET_AFTER).await
    }

    async fn start_forgetting(nats: &TestNats, shown: &Memory, forget_after: Duration) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let settings = Settings {
            nats: nats.options("operator").unwrap(),
            tenant: tenant(),
            namespace: None,
            health_addr: port,
            resync: Duration::from_secs(1),
            forget_after,
        };
        let (stop, shown) = (CancellationToken::new(), shown.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move { run(&settings, &shown, stopped).await.unwrap() });
        Self {
            health: port.to_string(),
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task)
            .await
            .unwrap()
            .unwrap();
    }

    /// The response to a GET, including the status line.
    async fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.health).await else {
            return String::new();
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn is_ready(&self) -> bool {
        self.get("/readyz").await.starts_with("HTTP/1.1 200")
    }
}

/// A simulated device.
struct Device {
    link: NatsAgentLink,
    boot: String,
    info: DeviceInfo,
    sequence: u64,
}

impl Device {
    async fn new(nats: &TestNats, id: &str, boot: &str) -> Self {
        let connection = NatsConnection::connect(&nats.options(id).unwrap())
            .await
            .unwrap();
        let id: DeviceId = id.parse().unwrap();
        Self {
            link: NatsAgentLink::new(connection, &tenant(), &id),
            boot: boot.into(),
            info: DeviceInfo::default(),
            sequence: 0,
        }
    }

    async fn register(&self, previous: Option<&str>) -> Result<RegistrationReply, LinkError> {
        let registration = Registration {
            version: SchemaVersion::CURRENT,
            boot: self.boot.parse().unwrap(),
            previous_boot: previous.map(|text| text.parse().unwrap()),
            heartbeat_seconds: HeartbeatInterval::from_seconds(1).unwrap(),
            info: self.info.clone(),
        };
        self.link.register(&registration).await
    }

    async fn beat(&mut self) {
        self.sequence += 1;
        let heartbeat = Heartbeat {
            version: SchemaVersion::CURRENT,
            boot: self.boot.parse().unwrap(),
            sequence: self.sequence,
            leaving: false,
        };
        // Lost while the server is unavailable.
        let _ = self.link.heartbeat(&heartbeat).await;
    }
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..800 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("did not happen within 40 s: {what}");
}

async fn directory(nats: &TestNats) -> NatsDeviceDirectory {
    NatsDeviceDirectory::new(
        NatsConnection::connect(&nats.options("tools").unwrap())
            .await
            .unwrap(),
        tenant(),
    )
}

async fn listed(directory: &NatsDeviceDirectory, id: &str) -> Option<DeviceSummary> {
    directory
        .devices()
        .await
        .ok()?
        .devices
        .into_iter()
        .find(|d| d.id.as_str() == id)
}

#[tokio::test]
async fn a_device_registers_is_listed_and_shown_and_goes_offline() {
    let nats = TestNats::start().unwrap();
    let shown = Memory::default();
    let operator = Operator::start(&nats, &shown).await;
    eventually("the operator is ready", async || operator.is_ready().await).await;
    assert!(operator.get("/healthz").await.starts_with("HTTP/1.1 200"));

    let mut device = Device::new(&nats, "pump-1", "b1").await;
    assert!(matches!(
        device.register(None).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    device.beat().await;
    let tools = directory(&nats).await;
    eventually("the device is online", async || {
        listed(&tools, "pump-1")
            .await
            .is_some_and(|d| d.presence == Some(Presence::Online))
    })
    .await;
    eventually("the device is shown", async || {
        shown.presences() == [("pump-1".to_owned(), Some(Presence::Online))]
    })
    .await;
    eventually("after five silent seconds it is offline", async || {
        shown.presences() == [("pump-1".to_owned(), Some(Presence::Offline))]
    })
    .await;
    operator.stop().await;
    eventually("nobody listens any more", async || {
        matches!(
            device.register(None).await,
            Err(LinkError::NoOperator { .. })
        )
    })
    .await;
}

#[tokio::test]
async fn a_clone_is_refused_and_flagged_and_a_restart_is_not() {
    let nats = TestNats::start().unwrap();
    let shown = Memory::default();
    let operator = Operator::start(&nats, &shown).await;
    eventually("the operator is ready", async || operator.is_ready().await).await;
    let tools = directory(&nats).await;
    let duplicate = async || listed(&tools, "pump-1").await.is_some_and(|d| d.duplicate);

    let mut original = Device::new(&nats, "pump-1", "b1").await;
    assert!(matches!(
        original.register(None).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    original.beat().await;
    let clone = Device::new(&nats, "pump-1", "b2").await;
    let refused = clone.register(None).await.unwrap();
    assert!(
        matches!(
            refused,
            RegistrationReply::Refused {
                reason: RefusalReason::DuplicateIdentity,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(duplicate().await);

    // The original restarts with its state directory and is accepted immediately.
    let mut restarted = Device::new(&nats, "pump-1", "b3").await;
    assert!(matches!(
        restarted.register(Some("b1")).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    assert!(!duplicate().await);

    // A copy of the state directory is detected when both continue.
    restarted.beat().await;
    original.beat().await;
    eventually("both are flagged", duplicate).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_refusal_shows_both_places_also_when_their_hosts_have_one_name() {
    let nats = TestNats::start().unwrap();
    let operator = Operator::start(&nats, &Memory::default()).await;
    eventually("the operator is ready", async || operator.is_ready().await).await;
    let mut devices = [
        Device::new(&nats, "gw", "b1").await,
        Device::new(&nats, "gw", "b2").await,
    ];
    for (device, site) in devices.iter_mut().zip(["plant1", "plant2"]) {
        device.info.hostname = "gw".into();
        // As many labels as there may be must not hide the other place.
        let more = (0..20).fold(String::new(), |all, n| format!("{all},label-{n}=value"));
        device.info.labels = format!("a-site={site}{more}").parse().unwrap();
    }
    assert!(matches!(
        devices[0].register(None).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    let RegistrationReply::Refused { detail, .. } = devices[1].register(None).await.unwrap() else {
        panic!("both were accepted")
    };
    for part in ["a-site=plant1", "a-site=plant2", "FLEET_DEVICE_ID"] {
        assert!(detail.as_str().contains(part), "{detail}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn devices_survive_the_operator_and_the_loss_of_the_registry() {
    let nats = TestNats::start().unwrap();
    let shown = Memory::default();
    let operator = Operator::start(&nats, &shown).await;
    eventually("the operator is ready", async || operator.is_ready().await).await;
    let mut device = Device::new(&nats, "pump-1", "b1").await;
    assert!(matches!(
        device.register(None).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    operator.stop().await;

    let operator = Operator::start(&nats, &shown).await;
    let tools = directory(&nats).await;
    eventually(
        "the new operator lists it, and does not pretend to know",
        async || {
            listed(&tools, "pump-1")
                .await
                .is_some_and(|d| d.presence.is_none() && d.last_seen_ago.is_none())
        },
    )
    .await;
    device.beat().await;
    eventually("a heartbeat is enough", async || {
        listed(&tools, "pump-1")
            .await
            .is_some_and(|d| d.presence == Some(Presence::Online))
    })
    .await;

    let raw = async_nats_client(&nats).await;
    raw.delete_key_value("devices").await.unwrap();
    eventually("the loss is noticed", async || {
        directory(&nats)
            .await
            .devices()
            .await
            .is_ok_and(|listing| listing.devices.is_empty())
    })
    .await;
    assert!(matches!(
        device.register(Some("b1")).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    assert!(listed(&tools, "pump-1").await.is_some());
    operator.stop().await;
}

#[tokio::test]
async fn a_device_that_is_silent_for_long_is_forgotten_everywhere_and_may_come_back() {
    let nats = TestNats::start().unwrap();
    let shown = Memory::default();
    // Devices of these tests are offline after five seconds, and none is forgotten before.
    let operator = Operator::start_forgetting(&nats, &shown, Duration::from_secs(1)).await;
    eventually("the operator is ready", async || operator.is_ready().await).await;
    let mut lost = Device::new(&nats, "pump-1", "b1").await;
    let mut alive = Device::new(&nats, "pump-2", "b1").await;
    for device in [&mut lost, &mut alive] {
        assert!(matches!(
            device.register(None).await,
            Ok(RegistrationReply::Accepted { .. })
        ));
        device.beat().await;
    }
    eventually("both are shown", async || shown.presences().len() == 2).await;
    eventually("the silent one is no longer shown", async || {
        alive.beat().await;
        shown.presences() == [("pump-2".to_owned(), Some(Presence::Online))]
    })
    .await;
    let bucket = async_nats_client(&nats).await;
    let mut stream = bucket.get_stream("KV_devices").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);

    let tools = directory(&nats).await;
    assert!(listed(&tools, "pump-1").await.is_none());
    assert!(matches!(
        lost.register(None).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    assert!(listed(&tools, "pump-1").await.is_some());

    // Somebody removes a device by hand.
    let store = bucket.get_key_value("devices").await.unwrap();
    store.delete("acme.pump-2").await.unwrap();
    eventually("the removed one is no longer shown", async || {
        listed(&tools, "pump-2").await.is_none()
            && !shown.presences().iter().any(|(id, _)| id == "pump-2")
    })
    .await;
    operator.stop().await;
}

async fn async_nats_client(nats: &TestNats) -> async_nats::jetstream::Context {
    let client = async_nats::ConnectOptions::with_user_and_password(
        nats.user().into(),
        nats.password().into(),
    )
    .connect(nats.url())
    .await
    .unwrap();
    async_nats::jetstream::new(client)
}

#[tokio::test]
async fn a_killed_nats_and_a_failing_kubernetes_are_survived() {
    let mut nats = TestNats::start().unwrap();
    let shown = Memory::default();
    shown.fail(true);
    nats.kill();
    let operator = Operator::start(&nats, &shown).await;
    eventually("the process is alive", async || {
        operator.get("/healthz").await.contains(" 200 ")
    })
    .await;
    let missing = operator.get("/readyz").await;
    assert!(
        missing.contains(" 503 ") && missing.contains("not connected to NATS"),
        "{missing}"
    );

    nats.start_again().unwrap();
    eventually("only Kubernetes is missing", async || {
        let missing = operator.get("/readyz").await;
        !missing.contains("NATS") && missing.contains("have not been written to Kubernetes")
    })
    .await;
    eventually("the metrics agree", async || {
        let metrics = operator.get("/metrics").await;
        metrics.contains("\nfleet_nats_connected 1\n")
            && metrics.contains("\nfleet_operator_ready 0\n")
            && !metrics.contains("fleet_operator_errors_total{step=\"reflect\"} 0\n")
    })
    .await;
    shown.fail(false);
    eventually("the operator is ready", async || operator.is_ready().await).await;

    let mut device = Device::new(&nats, "pump-1", "b1").await;
    assert!(matches!(
        device.register(None).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    eventually("the metrics count the device", async || {
        let metrics = operator.get("/metrics").await;
        metrics.contains("\nfleet_devices{state=\"online\"} 1\n")
    })
    .await;
    shown.fail(true);
    nats.kill();
    eventually("not ready without NATS", async || {
        !operator.is_ready().await
    })
    .await;
    nats.start_again().unwrap();
    shown.fail(false);
    eventually("ready again", async || operator.is_ready().await).await;
    eventually("it hears and shows the device again", async || {
        device.beat().await;
        shown.presences() == [("pump-1".to_owned(), Some(Presence::Online))]
    })
    .await;
    let restarted = Device::new(&nats, "pump-1", "b2").await;
    assert!(matches!(
        restarted.register(Some("b1")).await,
        Ok(RegistrationReply::Accepted { .. })
    ));
    operator.stop().await;
}

#[tokio::test]
async fn two_operators_of_a_tenant_are_reported_until_one_stops() {
    let nats = TestNats::start().unwrap();
    let (first_shown, second_shown) = (Memory::default(), Memory::default());
    let first = Operator::start(&nats, &first_shown).await;
    eventually("the first is ready", async || first.is_ready().await).await;
    let tools = directory(&nats).await;
    assert_eq!(
        tools.devices().await.unwrap().warnings,
        Vec::<String>::new()
    );
    let second = Operator::start(&nats, &second_shown).await;
    // A request that reaches an operator as it stops is not answered; tools ask again.
    let warnings = async || tools.devices().await.map(|listing| listing.warnings);
    eventually("tools are warned", async || {
        warnings().await.is_ok_and(|all| {
            all.iter()
                .any(|w| w.contains("two operators are running for tenant `acme`"))
        })
    })
    .await;
    second.stop().await;
    eventually("the warning goes away", async || {
        warnings().await.is_ok_and(|all| all.is_empty())
    })
    .await;
    first.stop().await;
}

#[tokio::test]
async fn a_taken_health_address_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nats = TestNats::start().unwrap();
    let settings = Settings {
        nats: nats.options("operator").unwrap(),
        tenant: tenant(),
        namespace: None,
        health_addr: taken.local_addr().unwrap(),
        resync: Duration::from_secs(1),
        forget_after: FleetState::FORGET_AFTER,
    };
    let error = run(&settings, &Memory::default(), CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&settings.health_addr.to_string()),
        "{error}"
    );
}
