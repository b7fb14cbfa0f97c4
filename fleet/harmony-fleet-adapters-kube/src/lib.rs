//! The fleet in Kubernetes: a `Device` resource for each device.
//!
//! Implements the domain's [`FleetReflector`](harmony_fleet_domain::FleetReflector) with the Kubernetes API. It must
//! not know NATS, or how presence and registrations are decided. The resources are copies and never a source: if they
//! are deleted or changed, they are restored.
//!
//! Start with [`Device`], which users see. [`plan::plan`] decides, without I/O, which resources to write and which to
//! delete, and [`KubeFleetReflector`] does it. [`crds`] is for installing the operator.

mod device;
pub mod plan;
mod reflector;

pub use device::{Device, DevicePresence, DeviceSpec, DeviceStatus, crds};
pub use reflector::{KubeConnectError, KubeFleetReflector};
