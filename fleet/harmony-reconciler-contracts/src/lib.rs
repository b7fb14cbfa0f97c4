//! The wire contract of the fleet: what agents, operator and tools say to one another, and where.
//!
//! Purpose: one crate that both ends of each message import, so that neither end can drift.
//! It must not know: any transport client, any clock, Kubernetes, or a decision of any kind.
//! Its only dependency is serde.
//!
//! Where to start: [`subjects`] says where each message travels; then one file per conversation:
//! [`Registration`] (device to operator, request and reply), [`Heartbeat`] (device to operator),
//! [`Command`] (operator or tool to device, request and reply), [`ListDevices`] (tool to operator,
//! request and reply). [`StoredDevice`] is what the registry keeps.
//!
//! Compatibility rules, which the golden tests hold:
//! - a message travels on a subject that carries the major version (`fleet.v1...`);
//! - within a major version fields are only added, with a default; unknown fields are ignored;
//! - an enum read from a peer has an `Unknown` or `Other` variant, so that an older peer can answer
//!   "I do not know this" instead of failing to decode;
//! - the names of devices and tenants are in the subject and not in the payload, so that NATS permissions can guard them.
//!   They guard roles today ([`Permissions`]): the agents of a tenant share one user, which may speak as any of them.

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
