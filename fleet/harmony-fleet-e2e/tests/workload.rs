//! Tests that a device of the deployed platform runs the example deployment in real podman, and what an operator sees of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::core::Context;
use harmony::local::node::LocalNode;
use harmony::prelude::K8sAnywhereTopology;
use harmony::release::{WithImage, WorkTree};
use harmony::scores;
use harmony::types::ResourceName;
use harmony_fleet_adapters_nats::{NatsConnection, NatsDeploymentStore, NatsObservedStateConsumer};
use harmony_fleet_deploy::{DeviceExampleScore, FleetAgentScore, FleetServerScore, apps};
use harmony_fleet_domain::{DeploymentStore, Expected, ObservedStateConsumer};
use harmony_fleet_e2e::checkout::Checkout;
use harmony_fleet_e2e::stack::{eventually, in_order, local, new_namespace, tools, topology};
use harmony_reconciler_contracts::{ObservedDeployment, Phase, StoredDeployment};
use serde_json::json;

#[tokio::test]
async fn the_example_runs_on_the_device_until_it_is_deleted() -> anyhow::Result<()> {
    let topology = topology().await?;
    let checkout = Checkout::take().await?;
    let fleet = FleetServerScore {
        with_podman: true,
        ..local(new_namespace()?, &checkout)
    };
    let podman = FleetAgentScore::podman_of(&fleet.namespace, &fleet.devices[0]);
    let ran = run_example(&topology, &fleet, &podman).await;
    // Its containers would keep their ports.
    LocalNode::default()
        .remove_podman(&Context::new(), &podman)
        .await?;
    ran
}

async fn run_example(
    topology: &K8sAnywhereTopology,
    fleet: &FleetServerScore<WorkTree>,
    podman: &ResourceName,
) -> anyhow::Result<()> {
    let device = fleet.devices[0].clone();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("example.yaml");
    let example = WithImage {
        name: DeviceExampleScore::NAME.into(),
        artifacts: WorkTree::new(),
        app: Arc::clone(&fleet.operator),
        which: apps::nats(),
        score: {
            let (device, podman, path) = (device.clone(), podman.clone(), file.clone());
            move |image| DeviceExampleScore {
                device: device.clone(),
                podman: podman.clone(),
                image,
                path: path.clone(),
            }
        },
    };
    let deployed = in_order(scores![fleet.clone(), example], topology).await;
    deployed.map_err(|report| anyhow::anyhow!("{report}"))?;

    let written = std::fs::read_to_string(&file)?;
    let image = written.split("image: ").nth(1).context("no image")?;
    let image = image.lines().next().context("no image")?;
    // Not the port of the example, which the fleet of this machine may have.
    let broker: StoredDeployment = serde_json::from_value(json!({
        "name": "broker",
        "target": { "devices": [device] },
        "score": { "type": "PodmanV0", "data": { "containers": { "nats": {
            "image": image,
            "command": ["--port", "4399"],
            "ports": [{ "host": 4399, "container": 4399 }],
        }}}},
    }))?;
    let access = tools(topology, fleet).await?;
    let connection = NatsConnection::connect(&access.options("e2e")?).await?;
    let deployments = NatsDeploymentStore::new(connection.clone(), fleet.tenant.clone());
    let states = NatsObservedStateConsumer::new(connection, fleet.tenant.clone());
    let told = async || -> Option<ObservedDeployment> {
        let stored = states.read(&device).await.ok()??;
        let mut deployments = stored.value.ok()?.deployments;
        deployments.remove(&broker.name)
    };

    let revision = deployments.write(&broker, Expected::Absent).await?;
    let works = async || {
        let told = told().await;
        Ok(told.filter(|told| told.phase == Phase::Running))
    };
    let limit = Duration::from_secs(60);
    eventually(limit, works).await?;
    // The container answers on the port of this machine.
    let greeting = {
        use tokio::io::AsyncReadExt;
        let mut stream = tokio::net::TcpStream::connect("127.0.0.1:4399").await?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await?;
        bytes
    };
    assert_eq!(&greeting, b"INFO");

    let expected = Expected::Revision(revision);
    deployments.delete(&broker.name, expected).await?;
    let gone = async || {
        let closed = tokio::net::TcpStream::connect("127.0.0.1:4399").await;
        Ok((told().await.is_none() && closed.is_err()).then_some(()))
    };
    eventually(limit, gone).await
}
