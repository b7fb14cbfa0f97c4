//! Reads what is stored about deployments and devices.

use std::collections::BTreeMap;

use harmony_fleet_domain::progress::Snapshot;
use harmony_fleet_domain::{
    DeploymentStore, DesiredStatePublisher, DeviceDirectory, FleetListing, ObservedStateConsumer,
    StoredValue,
};
use harmony_reconciler_contracts::DeviceId;

use crate::CliError;
use crate::connection::Fleet;

/// Everything about all devices, and the list of devices with its warnings.
pub(crate) async fn load(fleet: &Fleet) -> Result<(Snapshot, FleetListing), CliError> {
    let listing = fleet.directory.devices().await?;
    let stored = async {
        tokio::try_join!(
            fleet.deployments.load(),
            fleet.desired.load(),
            fleet.observed.load()
        )
    };
    let (deployments, desired, observed) = stored.await?;
    let devices = listing.devices.iter();
    let snapshot = Snapshot {
        devices: devices.map(|it| (it.id.clone(), it.clone())).collect(),
        intent: deployments.into(),
        desired: readable(desired),
        observed: readable(observed),
    };
    Ok((snapshot, listing))
}

/// Like [`load`], with the states of one device only.
pub(crate) async fn load_device(
    fleet: &Fleet,
    device: &DeviceId,
) -> Result<(Snapshot, FleetListing), CliError> {
    let listing = fleet.directory.devices().await?;
    let stored = async {
        tokio::try_join!(
            fleet.deployments.load(),
            fleet.desired.read(device),
            fleet.observed.read(device)
        )
    };
    let (deployments, desired, observed) = stored.await?;
    let Some(known) = listing.devices.iter().find(|it| it.id == *device) else {
        return Err(CliError::UnknownDevice {
            device: device.clone(),
            known: listing.devices.into_iter().map(|it| it.id).collect(),
        });
    };
    let snapshot = Snapshot {
        devices: [(device.clone(), known.clone())].into(),
        intent: deployments.into(),
        desired: readable(desired.map(|it| (device.clone(), it)).into_iter().collect()),
        observed: readable(
            observed
                .map(|it| (device.clone(), it))
                .into_iter()
                .collect(),
        ),
    };
    Ok((snapshot, listing))
}

fn readable<T>(stored: BTreeMap<DeviceId, StoredValue<T>>) -> BTreeMap<DeviceId, T> {
    let values = stored.into_iter();
    values
        .filter_map(|(device, stored)| Some((device, stored.value.ok()?)))
        .collect()
}
