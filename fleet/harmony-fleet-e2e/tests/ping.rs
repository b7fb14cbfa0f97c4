//! Tests that a device answers through NATS, that the operator lists it, that it has a `Device` resource, and that the
//! operator is monitored.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::ObjectRef;
use harmony::release::AppSpec;
use harmony::scores;
use harmony::scores::storage::Storage;
use harmony_fleet_adapters_nats::{
    NatsConnectError, NatsConnection, NatsDeviceCommander, NatsDeviceDirectory,
};
use harmony_fleet_deploy::{FleetServerScore, monitoring};
use harmony_fleet_domain::{CommandFailure, DeviceCommander, DeviceDirectory};
use harmony_fleet_e2e::alert_server::AlertServer;
use harmony_fleet_e2e::checkout::Checkout;
use harmony_fleet_e2e::stack::{FleetStack, eventually, in_order, local, shared_stack, topology};

async fn connect(stack: &FleetStack) -> anyhow::Result<NatsConnection> {
    Ok(NatsConnection::connect(&stack.tools.options("e2e")?).await?)
}

#[tokio::test]
async fn a_device_answers_a_ping() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let commander = NatsDeviceCommander::new(connect(stack).await?, stack.score.tenant.clone());
    for sequence in 0..3 {
        let pong = commander.ping(&stack.score.devices[0], sequence).await?;
        assert!(pong.round_trip < Duration::from_secs(2), "{pong:?}");
        assert!(!pong.agent_version.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn nobody_is_answered_in_clear_text_or_without_the_fleets_authority() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    assert!(stack.tools.nats_url.starts_with("tls://"), "{stack:?}");
    let trusted = stack.tools.options("e2e")?;
    NatsConnection::connect(&trusted).await?;
    let clear = stack.tools.nats_url.replacen("tls://", "nats://", 1);
    for url in [&clear, &stack.tools.nats_url] {
        let mut options = trusted.clone().with_authority(None);
        options.servers = url.parse()?;
        let error = NatsConnection::connect(&options).await.unwrap_err();
        assert!(
            matches!(error, NatsConnectError::Untrusted { .. }),
            "{error:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_device_that_is_not_there_is_told_from_one_that_is() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let commander = NatsDeviceCommander::new(connect(stack).await?, stack.score.tenant.clone());
    let nobody = "no-such-device".parse()?;
    assert!(
        matches!(commander.ping(&nobody, 0).await, Err(CommandFailure::NotConnected { device }) if device == nobody)
    );
    Ok(())
}

#[tokio::test]
async fn the_operator_lists_the_device() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let directory = NatsDeviceDirectory::new(connect(stack).await?, stack.score.tenant.clone());
    let listing = directory.devices().await?;
    let names: Vec<_> = listing
        .devices
        .iter()
        .map(|device| device.id.clone())
        .collect();
    assert_eq!(names, stack.score.devices);
    assert!(listing.warnings.is_empty(), "{:?}", listing.warnings);
    Ok(())
}

/// As with `--monitoring` and `--alert-webhook`.
#[tokio::test]
async fn the_operator_is_monitored() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let (topology, checkout) = (topology().await?, Checkout::take().await?);
    let receiver = AlertServer::start().await?;
    let score = local(stack.namespace.clone(), &checkout);
    let webhook = Some(receiver.url().parse()?);
    let monitoring = monitoring::monitoring(&stack.namespace, webhook).with_storage(Storage::Pod);
    let score = FleetServerScore {
        operator: Arc::new(monitoring::with_images(AppSpec::clone(&score.operator))),
        monitoring: Some(monitoring),
        ..score
    };
    let deployed = in_order(scores![score], &topology).await;
    let deployed = deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    for check in [
        "Prometheus scrapes `harmony-fleet-operator`",
        "Prometheus evaluates the alert rules",
        "a test alert reaches the receiver `webhook`",
    ] {
        assert!(
            deployed.checks.iter().any(|done| done == check),
            "{deployed:#?}"
        );
    }
    receiver
        .told("HarmonyTest", "firing", Duration::from_secs(1))
        .await
}

#[tokio::test]
async fn a_device_resource_follows_the_heartbeats_and_comes_back_when_it_is_deleted()
-> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let topology = topology().await?;
    let device = ObjectRef {
        api_version: "fleet.harmony.io/v1alpha1".into(),
        kind: "Device".into(),
        namespace: Some(stack.namespace.clone()),
        name: stack.score.devices[0].as_str().parse()?,
    };
    let heartbeat = async || {
        let object = topology.get(&device).await?;
        let text = object.as_ref().and_then(|object| {
            object
                .body()
                .pointer("/status/lastHeartbeat")?
                .as_str()
                .map(str::to_owned)
        });
        anyhow::Ok(text)
    };
    let first = eventually(Duration::from_secs(30), heartbeat)
        .await
        .context("no heartbeat was shown")?;
    eventually(Duration::from_secs(40), async || {
        Ok(heartbeat().await?.filter(|later| *later > first))
    })
    .await
    .context("the heartbeat did not move on")?;
    topology.delete(&device).await?;
    eventually(Duration::from_secs(90), heartbeat)
        .await
        .context("the deleted resource did not come back")?;
    Ok(())
}
