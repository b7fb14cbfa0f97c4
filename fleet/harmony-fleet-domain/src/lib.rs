//! The domain of the fleet: devices, their presence, and who may hold a device id.
//!
//! All decisions about devices are pure functions of plain values, and the ports connect them to the outside world.
//! This crate must not use NATS, Kubernetes, tokio, clocks or files.
//!
//! What a device should run is decided in [`desired`]. [`Dispatch`] decides it for all devices of a tenant, and keeps the
//! generations increasing whatever the stores lose. Where a deployment stands on a device, and why, is in [`progress`].
//!
//! Start with [`FleetState`], the knowledge of an operator. It uses [`registration::decide`] (who may hold a device id)
//! and [`presence`] (is the device online). The result is a [`FleetDevice`] for each device.
//!
//! The ports, each in its own file in `ports/`:
//! - [`DeviceRegistry`]: the durable list of devices; only the operator writes to it.
//! - [`FleetReflector`]: copies the devices to another system; the copy can be deleted and is rebuilt.
//! - [`AgentLink`]: the connection of an agent to the operator.
//! - [`ContainerRuntime`], [`ContainerSigns`]: the program that runs the containers of a device.
//! - [`WorkloadLink`]: how a device learns what to run, and tells what it runs.
//! - [`DeploymentStore`], [`DesiredStatePublisher`], [`ObservedStateConsumer`]: what users want to run, what each device
//!   should run, and what it runs.
//! - [`DeviceCommander`], [`DeviceDirectory`]: the connection of tools to devices and the operator.
//!
//! Time: decisions use a [`Moment`], a reading of a monotonic clock. Wall-clock timestamps are for display only and are
//! never compared.

#![warn(missing_docs)]

pub mod desired;
mod device;
mod dispatch;
mod error_chain;
mod moment;
mod ports;
pub mod presence;
pub mod progress;
pub mod registration;
pub mod settings;
mod state;

pub use desired::{Claim, Conflict, FleetDeployment, Intent};
pub use device::{DeviceRecord, DeviceSummary, FleetDevice, LastSeen};
pub use dispatch::{DesiredWrite, Dispatch, LastReport};
pub use error_chain::ErrorChain;
pub use moment::Moment;
pub use ports::agent_link::{AgentLink, LinkError};
pub use ports::commander::{CommandFailure, DeviceCommander, Pong};
pub use ports::containers::{
    Checked, ContainerId, ContainerRuntime, ContainerSigns, LiveContainer, LiveState, NewContainer,
    RuntimeError,
};
pub use ports::deployments::{DeploymentStore, StoredDeployments};
pub use ports::desired::DesiredStatePublisher;
pub use ports::directory::{DeviceDirectory, DirectoryError, FleetListing};
pub use ports::observed::ObservedStateConsumer;
pub use ports::reflector::{FleetReflector, ReflectError, Reflected};
pub use ports::registry::{DeviceRegistry, Expected, RegistryError, Revision, Slot};
pub use ports::stored_value::{StoreError, StoredValue, Unreadable};
pub use ports::workload_link::WorkloadLink;
pub use presence::Presence;
pub use state::{FleetState, HeartbeatEffect, RegistrationStep};

/// The cause of a port's error: the error of the adapter's client.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
