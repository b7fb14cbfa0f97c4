//! The fleet over NATS.
//!
//! Purpose: the domain's ports on NATS, and the conversations between agent, operator and tools on
//! the subjects of the contract. It must not know: Kubernetes, a command line, any decision about devices.
//!
//! Where to start: [`NatsConnection`] connects, once for tools ([`NatsConnection::connect`]) or for ever
//! for services ([`NatsConnection::connect_in_background`]). Upon it:
//! - an agent uses [`NatsAgentLink`] to register and to send heartbeats, and [`CommandServer`] to answer;
//! - the operator uses [`NatsDeviceRegistry`] and [`NatsOperatorLink`];
//! - tools use [`NatsDeviceCommander`] and [`NatsDeviceDirectory`], and find the way by [`FleetContext`].
//!
//! A device costs NATS one connection and one core subscription (and one for replies): no JetStream
//! consumer, no key-value watch. Heartbeats are core messages and are never stored.

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
