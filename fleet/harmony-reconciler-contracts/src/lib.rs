//! The wire contract of the fleet: the messages between agents, operator and tools, and their subjects.
//!
//! Both ends of each message use this crate, so that they cannot drift apart. It must not use any transport client, any
//! clock or Kubernetes, and must not make decisions. Its only dependencies are serde and serde_json.
//!
//! Start with [`subjects`], which defines where each message is sent. Each conversation has its own file:
//! [`Registration`] (device to operator, request and reply), [`Heartbeat`] (device to operator), [`Command`] (operator
//! or tool to device, request and reply), [`ListDevices`] (tool to operator, request and reply), [`DesiredState`] (operator
//! to device), [`ObservedState`] (device to operator). [`StoredDevice`] is the content of the registry, and
//! [`StoredDeployment`] that of the deployments; [`ReconcileScore`] is what a device should run.
//!
//! Compatibility rules, checked by the golden tests:
//! - the subject of a message contains the major version (`fleet.v1...`);
//! - within a major version, fields are only added, and have a default; unknown fields are ignored;
//! - an enum in a message from a peer has an `Unknown` or `Other` variant, so that an older peer can answer that it
//!   does not know the value, instead of failing to decode it;
//! - the ids of devices and tenants are in the subject and not in the payload, so that NATS permissions can restrict
//!   them. Currently, permissions are per role ([`Permissions`]): all agents of a tenant share one user, which can send
//!   messages as any of the devices.

#![warn(missing_docs)]

mod command;
mod deployment;
mod desired;
mod heartbeat;
mod labels;
mod listing;
mod names;
mod observed;
mod permissions;
mod podman;
mod reconcile_score;
mod registration;
mod stored;
pub mod subjects;
mod text;
mod version;

pub use command::{Command, CommandError, CommandOutcome, CommandReply, UnknownTag};
pub use deployment::{StoredDeployment, Target};
pub use desired::{ContentHash, DesiredDeployment, DesiredState, Generation, InvalidHash};
pub use heartbeat::{Heartbeat, HeartbeatInterval, InvalidInterval};
pub use labels::{InvalidLabel, Labels};
pub use listing::{DeviceListing, ListDevices, ListedDevice, PresenceWord};
pub use names::{
    BootId, ContainerName, DeploymentName, DeviceId, InvalidName, NameProblem, TenantId,
};
pub use observed::{
    Cause, FailureReason, ObservedContainer, ObservedDeployment, ObservedState, Phase,
};
pub use permissions::Permissions;
pub use podman::{
    Container, Health, InvalidImage, Limits, PinnedImage, PodmanV0, Port, Protocol, Restart,
    Secret, SecretTarget, Volume, VolumeSource,
};
pub use reconcile_score::{ReconcileScore, UnknownScore};
pub use registration::{DeviceInfo, RefusalReason, Registration, RegistrationReply};
pub use stored::StoredDevice;
pub use text::{Reason, ShortText, Text};
pub use version::SchemaVersion;

#[cfg(test)]
mod golden;
