//! Starts nats-server, the operator and the devices, and stops them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_nats::jetstream;
use async_trait::async_trait;
use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_fleet_adapters_nats::{
    NatsAuth, NatsConnection, NatsDeploymentStore, NatsDesiredStatePublisher, NatsDeviceRegistry,
    NatsObservedStateConsumer, NatsOptions,
};
use harmony_fleet_domain::{
    DeploymentStore, Expected, FleetDevice, FleetReflector, FleetState, Presence, ReflectError,
    Reflected,
};
use harmony_fleet_operator::args::for_operator;
use harmony_fleet_operator::{Fleet, Settings, run_with};
use harmony_reconciler_contracts::{
    ContentHash, DeploymentName, DeviceId, Generation, Phase, StoredDeployment, TenantId, subjects,
};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::device::Device;
use crate::relay::Relay;

/// Everything that runs.
#[derive(Debug)]
pub struct Simulation {
    /// The server.
    pub nats: TestNats,
    /// The tenant of all devices.
    pub tenant: TenantId,
    /// The devices.
    pub devices: Vec<Device>,
    /// The operator.
    pub operator: Operator,
    /// Counts the bytes of the first devices.
    pub relay: Relay,
    /// How many devices use the relay.
    pub relayed: usize,
    /// All permissions, for looking at the server and for breaking it.
    pub jetstream: jetstream::Context,
    /// What users want to run.
    pub deployments: NatsDeploymentStore,
    /// What devices should run.
    pub desired: NatsDesiredStatePublisher,
    /// What devices run.
    pub observed: NatsObservedStateConsumer,
    /// The registered devices.
    pub registry: NatsDeviceRegistry,
    /// The time between two full reads of the operator.
    resync: Duration,
    folder: tempfile::TempDir,
}

/// How much is done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number of devices.
    pub devices: usize,
    /// How often the deployment of all devices changes.
    pub rounds: u64,
    /// How long the bytes of idle devices are counted; not at all if it is zero.
    pub idle: Duration,
    /// How long nats-server is gone.
    pub gone: Duration,
    /// The time between two full reads of the operator.
    pub resync: Duration,
    /// Decides in which order things happen.
    pub seed: u64,
}

/// The name of the only deployment.
pub const APP: &str = "app";

/// The name of its container on a device.
pub const CONTAINER: &str = "app-c";

/// One in this many devices uses the relay.
const RELAYED: usize = 20;

impl Simulation {
    /// Starts everything, and returns when all devices are registered and online.
    pub async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let nats = TestNats::start()?;
        let tenant: TenantId = "acme".parse()?;
        let tools = NatsConnection::connect(&options(&nats, "tools")?).await?;
        let operator = Operator::start(&nats, &tenant, plan.resync)?;
        let server = nats.url().replace("nats://", "");
        let relay = Relay::start(server).await?;
        let mut simulation = Self {
            jetstream: jetstream(&nats).await?,
            deployments: NatsDeploymentStore::new(tools.clone(), tenant.clone()),
            desired: NatsDesiredStatePublisher::new(tools.clone(), tenant.clone()),
            observed: NatsObservedStateConsumer::new(tools.clone(), tenant.clone()),
            registry: NatsDeviceRegistry::new(&tools, tenant.clone()),
            devices: Vec::new(),
            relayed: plan.devices.div_ceil(RELAYED),
            resync: plan.resync,
            folder: tempfile::tempdir()?,
            nats,
            tenant,
            operator,
            relay,
        };
        simulation.boot(plan.devices)?;
        let limit = Duration::from_secs(600);
        until("all devices are online", limit, async || {
            Ok(simulation.online().len() == plan.devices)
        })
        .await?;
        Ok(simulation)
    }

    fn boot(&mut self, devices: usize) -> anyhow::Result<()> {
        let auth = auth(&self.nats)?;
        for number in 0..devices {
            let url = if number < self.relayed {
                format!("nats://{}", self.relay.address())
            } else {
                self.nats.url()
            };
            let folder = self.folder.path();
            let device = Device::boot(number, &self.tenant, url.parse()?, auth.clone(), folder)?;
            self.devices.push(device);
        }
        Ok(())
    }

    /// The devices that the operator hears.
    pub fn online(&self) -> Vec<FleetDevice> {
        let mut devices = self.operator.fleet.view();
        devices.retain(|it| it.presence == Some(Presence::Online));
        devices
    }

    /// Stores the deployment with this version of its image. Returns the hash of its content.
    pub async fn apply(&self, version: u64) -> anyhow::Result<ContentHash> {
        let deployment = deployment(version)?;
        let stored = self.deployments.read(&deployment.name).await?;
        let expected = stored.map_or(Expected::Absent, |it| Expected::Revision(it.revision));
        self.deployments.write(&deployment, expected).await?;
        let content = harmony_fleet_domain::FleetDeployment::from(deployment).content;
        Ok(content.hash)
    }

    /// Waits until the operator knows that all devices run this content.
    pub async fn all_run(&self, wanted: &ContentHash) -> anyhow::Result<()> {
        let limit = Duration::from_secs(300);
        let name: DeploymentName = APP.parse()?;
        until("all devices run the new version", limit, async || {
            let dispatch = self.operator.fleet.dispatch();
            Ok(self.devices.iter().all(|device| {
                let told = dispatch.last_report(&device.id);
                told.and_then(|told| told.deployments.get(&name))
                    .is_some_and(|(hash, phase)| hash == wanted && *phase == Phase::Running)
            }))
        })
        .await?;
        Ok(())
    }

    /// The generation that each device has stored.
    pub fn generations(&self) -> BTreeMap<DeviceId, Generation> {
        let devices = self.devices.iter();
        devices
            .map(|it| (it.id.clone(), it.disk.generation()))
            .collect()
    }

    /// The stream of a bucket.
    pub async fn stream(&self, bucket: &str) -> anyhow::Result<jetstream::stream::Stream> {
        let stream = self.jetstream.get_stream(subjects::stream(bucket)).await;
        stream.with_context(|| format!("the bucket `{bucket}` cannot be read"))
    }

    /// Stops the operator and starts another one, which knows nothing.
    pub async fn restart_operator(&mut self) -> anyhow::Result<()> {
        self.operator.stop().await?;
        self.operator = Operator::start(&self.nats, &self.tenant, self.resync)?;
        Ok(())
    }

    /// The connections of agents, as the server counts them.
    pub async fn connections(&self) -> anyhow::Result<Vec<ServerConnection>> {
        let found: Connections = self.monitoring("/connz?limit=100000").await?;
        let agents = found.connections.into_iter();
        Ok(agents
            .filter(|it| it.name.starts_with("harmony-fleet-agent "))
            .collect())
    }

    /// What the server says about itself.
    pub async fn monitoring<T: for<'a> Deserialize<'a>>(&self, path: &str) -> anyhow::Result<T> {
        let mut stream = TcpStream::connect(self.nats.monitoring()).await?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let separator = b"\r\n\r\n";
        let body = answer.windows(4).position(|it| it == separator);
        let body = body.context("the answer of the monitoring has no body")?;
        Ok(serde_json::from_slice(&answer[body + 4..])?)
    }

    /// Stops everything.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for device in self.devices {
            device.stop().await;
        }
        self.operator.stop().await
    }
}

#[derive(Deserialize)]
struct Connections {
    connections: Vec<ServerConnection>,
}

/// A connection, as the server counts it. The bytes are those of the contents of messages.
#[derive(Debug, Clone, Deserialize)]
pub struct ServerConnection {
    /// The name that the client gave, if it gave one.
    #[serde(default)]
    pub name: String,
    /// Received by the server.
    pub in_bytes: u64,
    /// Sent by the server.
    pub out_bytes: u64,
    /// Received by the server.
    pub in_msgs: u64,
    /// Sent by the server.
    pub out_msgs: u64,
}

/// A running operator, without Kubernetes.
#[derive(Debug)]
pub struct Operator {
    /// What it knows.
    pub fleet: Arc<Fleet>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Operator {
    fn start(nats: &TestNats, tenant: &TenantId, resync: Duration) -> anyhow::Result<Self> {
        let connection = options(nats, &format!("harmony-fleet-operator {tenant}"))?;
        let free = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?;
        let settings = Settings {
            nats: for_operator(connection),
            tenant: tenant.clone(),
            namespace: None,
            health_addr: free,
            resync,
            forget_after: FleetState::FORGET_AFTER,
        };
        let (fleet, stop) = (Fleet::new(tenant.clone()), CancellationToken::new());
        let fleet = Arc::new(fleet);
        let (shared, stopped) = (Arc::clone(&fleet), stop.clone());
        let task = tokio::spawn(async move {
            run_with(shared, &settings, &NoCopy, stopped).await?;
            Ok(())
        });
        Ok(Self { fleet, stop, task })
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        (&mut self.task).await?
    }
}

/// Devices are not copied to another system.
#[derive(Debug)]
struct NoCopy;

#[async_trait]
impl FleetReflector for NoCopy {
    async fn reflect(&self, _: &[FleetDevice]) -> Result<Reflected, ReflectError> {
        Ok(Reflected::default())
    }
}

/// Waits until this holds, and returns how long it took.
pub async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    tracing::info!("waiting until {what}");
    while !holds().await? {
        if began.elapsed() > limit {
            bail!("did not happen within {} s: {what}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(began.elapsed())
}

/// A deployment for all devices.
fn deployment(version: u64) -> anyhow::Result<StoredDeployment> {
    let image = format!("r.example.com/app@sha256:{version:064x}");
    Ok(serde_json::from_value(serde_json::json!({
        "name": APP,
        "target": {"labels": {"site": "lyon"}},
        "score": {"type": "PodmanV0", "data": {"containers": {"c": {
            "image": image,
            "ports": [{"host": 8080, "container": 80}],
            "env": {"LEVEL": "info"},
            "health": {"command": ["check"]},
        }}}},
    }))?)
}

fn auth(nats: &TestNats) -> anyhow::Result<NatsAuth> {
    let password = nats.password().into();
    Ok(NatsAuth::resolve(Some(nats.user()), Some(password), None)?)
}

/// The options of a service.
fn options(nats: &TestNats, name: &str) -> anyhow::Result<NatsOptions> {
    Ok(NatsOptions::new(nats.url().parse()?, auth(nats)?, name))
}

async fn jetstream(nats: &TestNats) -> anyhow::Result<jetstream::Context> {
    let (user, password) = (nats.user().to_owned(), nats.password().to_owned());
    let options = async_nats::ConnectOptions::with_user_and_password(user, password);
    Ok(jetstream::new(options.connect(nats.url()).await?))
}
