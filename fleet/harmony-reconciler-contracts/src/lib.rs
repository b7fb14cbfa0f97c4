//! The wire contract of the fleet: the messages between agents, operator and tools, and their subjects.
//!
//! Both ends of each message use this crate, so that they cannot drift apart. It must not use any transport client, any
//! clock or Kubernetes, and must not make decisions. Its only dependency is serde.
//!
//! Start with [`subjects`], which defines where each message is sent. Each conversation has its own file:
//! [`Registration`] (device to operator, request and reply), [`Heartbeat`] (device to operator), [`Command`] (operator
//! or tool to device, request and reply), [`ListDevices`] (tool to operator, request and reply). [`StoredDevice`] is
//! the content of the registry.
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
mod heartbeat;
mod labels;
mod listing;
mod names;
mod permissions;
mod registration;
mod stored;
pub mod subjects;
mod text;
mod version;

pub use command::{Command, CommandError, CommandOutcome, CommandReply, UnknownTag};
pub use heartbeat::{Heartbeat, HeartbeatInterval, InvalidInterval};
pub use labels::{InvalidLabel, Labels};
pub use listing::{DeviceListing, ListDevices, ListedDevice, PresenceWord};
pub use names::{BootId, DeviceId, InvalidName, NameProblem, TenantId};
pub use permissions::Permissions;
pub use registration::{DeviceInfo, RefusalReason, Registration, RegistrationReply};
pub use stored::StoredDevice;
pub use text::{Reason, ShortText, Text};
pub use version::SchemaVersion;

#[cfg(test)]
mod golden;
