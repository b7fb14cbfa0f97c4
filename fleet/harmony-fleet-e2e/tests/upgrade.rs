//! Tests an upgrade of the operator from 0.1.0 to 0.2.0 in a running stack.

use std::time::Duration;

use anyhow::Context as _;
use harmony::types::Version;
use harmony_fleet_adapters_nats::{NatsConnection, NatsDeviceCommander, NatsDeviceDirectory};
use harmony_fleet_deploy::operator;
use harmony_fleet_domain::{DeviceCommander, DeviceDirectory};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{eventually, image_of, shared_stack};

#[tokio::test]
async fn the_operator_is_upgraded_on_a_running_stack() -> anyhow::Result<()> {
    let stack = shared_stack().await?;
    let rig = ReleaseRig::start().await?;
    let (old, new): (Version, Version) = ("0.1.0".parse()?, "0.2.0".parse()?);
    rig.release(&old)
        .await?
        .map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    rig.deploy(&old, &stack.namespace).await?;
    let before = image_of(operator::NAME, &stack.namespace).await?;
    assert!(
        before.starts_with(&rig.registry.host().to_string()),
        "{before}"
    );

    rig.set_version("fleet/harmony-fleet-operator", &new)?;
    rig.release(&new)
        .await?
        .map_err(|report| anyhow::anyhow!("{report:#?}"))?;
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
    Ok(())
}
