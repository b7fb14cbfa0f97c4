//! The fleet in Kubernetes: each device as a `Device` resource.
//!
//! Purpose: the domain's [`FleetReflector`](harmony_fleet_domain::FleetReflector) on the Kubernetes API. It
//! must not know: NATS, how presence or registration are decided. The resources are a reflection and
//! never a source: delete them and they come back, edit them and they are corrected.
//!
//! Where to start: [`Device`] is what people see; [`plan::plan`] decides, without I/O, which resources to
//! write and which to remove; [`KubeFleetReflector`] does it. [`crds`] is for whoever installs the operator.

mod device;
pub mod plan;
mod reflector;

pub use device::{Device, DevicePresence, DeviceSpec, DeviceStatus, crds};
pub use reflector::{KubeConnectError, KubeFleetReflector};
