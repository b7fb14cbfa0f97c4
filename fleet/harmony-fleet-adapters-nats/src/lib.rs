//! The fleet over NATS.
//!
//! Implements the ports of the domain with NATS, and the conversations between agent, operator and tools on the
//! subjects of the contract. It must not know Kubernetes, command lines, or decisions about devices.
//!
//! Start with [`NatsConnection`], which connects once for tools ([`NatsConnection::connect`]) or permanently for
//! services ([`NatsConnection::connect_in_background`]). It is used by:
//! - agents, with [`NatsAgentLink`] for registering and heartbeats, and [`CommandServer`] for commands;
//! - the operator, with [`NatsDeviceRegistry`] and [`NatsOperatorLink`];
//! - tools, with [`NatsDeviceCommander`] and [`NatsDeviceDirectory`], and [`FleetContext`] for the address.
//!
//! A device needs one NATS connection and one core subscription (plus one for replies), but no JetStream consumer and
//! no key-value watch. Heartbeats are core messages and are never stored.

mod agent_link;
mod authority;
mod backoff;
mod command_server;
mod connection;
mod context;
mod decode;
mod file;
mod operator_link;
mod options;
mod registry;
#[cfg(feature = "testing")]
pub mod testing;
mod tools;

pub use agent_link::NatsAgentLink;
pub use authority::{AuthorityError, InvalidAuthority, NatsAuthority};
pub use backoff::Backoff;
pub use command_server::{CommandServer, CommandServerError};
pub use connection::{NatsConnectError, NatsConnection};
pub use context::{ContextAuthority, ContextError, FleetContext};
pub use operator_link::{ListRequest, NatsOperatorLink, RegistrationRequest, SubscribeFailed};
pub use options::{NatsAuth, NatsOptions, NatsServers, SettingsError};
pub use registry::NatsDeviceRegistry;
pub use tools::{NatsDeviceCommander, NatsDeviceDirectory};
