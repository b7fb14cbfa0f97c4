//! Tests the operator of a running stack: moved to Argo CD and back without a restart, and upgraded from 0.1.0 to 0.2.0.

use std::time::Duration;

use anyhow::Context as _;
use harmony::configuration::DeliveryChoice;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::ObjectQuery;
use harmony::types::{Namespace, Version};
use harmony_fleet_adapters_nats::{NatsConnection, NatsDeviceCommander, NatsDeviceDirectory};
use harmony_fleet_deploy::operator;
use harmony_fleet_domain::{DeviceCommander, DeviceDirectory};
use harmony_fleet_e2e::gitops::{install_argocd, production};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{
    FleetStack, discard, eventually, image_of, new_namespace, object, shared_stack, topology,
};
use serde_json::Value;

#[tokio::test]
async fn the_operator_is_moved_and_upgraded_on_a_running_stack() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let rig = ReleaseRig::start_fleet_for_pods().await?;
    let (old, new): (Version, Version) = ("0.1.0".parse()?, "0.2.0".parse()?);
    let released = rig.release(&old).await?;
    released.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    rig.deploy(&old, &stack.namespace).await?;
    let before = image_of(operator::NAME, &stack.namespace).await?;
    assert!(
        before.starts_with(&rig.registry.host().to_string()),
        "{before}"
    );

    // Only the delivery differs: nothing is created again, nothing restarts, and no heartbeat is lost.
    let argocd = new_namespace()?;
    install_argocd(&topology().await?, &rig, &argocd).await?;
    let objects = objects(&stack.namespace).await?;
    assert!(objects.len() >= 3, "{objects:?}");
    eventually(Duration::from_secs(60), async || {
        Ok(is_online(&status(stack).await?).then_some(()))
    })
    .await
    .context("the device is not online")?;
    let moving = async {
        for delivery in [
            DeliveryChoice::ArgoCd {
                namespace: argocd.clone(),
            },
            DeliveryChoice::Direct,
        ] {
            let topology = production(&rig, delivery);
            rig.deploy_on(&topology, &old, &stack.namespace).await?;
            assert_eq!(self::objects(&stack.namespace).await?, objects);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        moved = moving => moved?,
        offline = first_offline(stack) => anyhow::bail!("a device is {}", offline?),
    }

    rig.set_version("fleet/harmony-fleet-operator", &new)?;
    let released = rig.release(&new).await?;
    released.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    rig.deploy(&new, &stack.namespace).await?;
    let after = image_of(operator::NAME, &stack.namespace).await?;
    assert_ne!(before, after);

    let connection = NatsConnection::connect(&stack.tools.options("e2e")?).await?;
    let directory = NatsDeviceDirectory::new(connection.clone(), stack.score.tenant.clone());
    let names = eventually(Duration::from_secs(30), async || {
        let devices = directory.devices().await?.devices;
        Ok((!devices.is_empty()).then(|| {
            devices
                .iter()
                .map(|device| device.id.clone())
                .collect::<Vec<_>>()
        }))
    });
    assert_eq!(
        names.await.context("the new operator knows no device")?,
        stack.score.devices
    );
    let commander = NatsDeviceCommander::new(connection, stack.score.tenant.clone());
    commander.ping(&stack.score.devices[0], 1).await?;
    discard(&argocd)?;
    Ok(())
}

/// The objects of the operator and its pods, with their UIDs.
async fn objects(namespace: &Namespace) -> anyhow::Result<Vec<(String, String)>> {
    let cluster = topology().await?;
    let label = (
        "app.kubernetes.io/name".to_owned(),
        operator::NAME.to_owned(),
    );
    let mut found = Vec::new();
    for (api_version, kind) in [
        ("apps/v1", "Deployment"),
        ("v1", "Pod"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
    ] {
        let query = ObjectQuery {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some(namespace.clone()),
            labels: [label.clone()].into(),
        };
        for object in cluster.list(&query).await? {
            let live = cluster.get(&object).await?;
            let live = live.with_context(|| format!("{object} exists"))?;
            let uid = live.body()["metadata"]["uid"].as_str().context("a UID")?;
            found.push((object.to_string(), uid.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

/// The state of the device in its resource, as soon as it is not online. Does not return before.
async fn first_offline(stack: &FleetStack) -> anyhow::Result<String> {
    loop {
        let status = status(stack).await?;
        if !is_online(&status) {
            return Ok(status.to_string());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn is_online(status: &Value) -> bool {
    status["presence"] == "Online"
}

/// The status of the first device in its resource.
async fn status(stack: &FleetStack) -> anyhow::Result<Value> {
    let name = stack.score.devices[0].as_str();
    let device = object(
        "fleet.harmony.io/v1alpha1",
        "Device",
        Some(&stack.namespace),
        name,
    )?;
    let found = topology().await?.get(&device).await?;
    Ok(found.map_or(Value::Null, |found| found.body()["status"].clone()))
}
