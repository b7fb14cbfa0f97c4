//! The domain of the fleet: what a device is, whether it is there, who may hold its name.
//!
//! Purpose: every decision about devices as a pure function over plain values, and the ports through
//! which the decisions meet the world. It must not know: NATS, Kubernetes, tokio, a clock, a file.
//!
//! Where to start: [`FleetState`], all that an operator knows; it uses [`registration::decide`] (who
//! may hold a device id) and [`presence`] (is the device there). What comes out is a
//! [`FleetDevice`] per device.
//!
//! The ports, each in its own file under `ports/`:
//! - [`DeviceRegistry`]: the durable list of devices; the operator is its only writer.
//! - [`FleetReflector`]: shows the devices somewhere else; may be deleted, is rebuilt.
//! - [`AgentLink`]: what an agent needs of the fabric.
//! - [`DeviceCommander`], [`DeviceDirectory`]: what tools need of the fabric.
//!
//! Time: decisions take a [`Moment`], a reading of a monotonic clock. Wall-clock timestamps
//! are carried for people to read, and are never compared.

mod device;
mod error_chain;
mod moment;
mod ports;
pub mod presence;
pub mod registration;
pub mod settings;
mod state;

pub use device::{DeviceRecord, DeviceSummary, FleetDevice, LastSeen};
pub use error_chain::ErrorChain;
pub use moment::Moment;
pub use ports::agent_link::{AgentLink, LinkError};
pub use ports::commander::{CommandFailure, DeviceCommander, Pong};
pub use ports::directory::{DeviceDirectory, DirectoryError, FleetListing};
pub use ports::reflector::{FleetReflector, ReflectError, Reflected};
pub use ports::registry::{DeviceRegistry, Expected, RegistryError, Revision, Slot};
pub use presence::Presence;
pub use state::{FleetState, HeartbeatEffect, RegistrationStep};

/// The cause inside an error of a port: whatever the adapter's client reported.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
