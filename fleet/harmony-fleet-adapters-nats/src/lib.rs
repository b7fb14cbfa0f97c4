//! The fleet over NATS.
//!
//! Implements the ports of the domain with NATS, and the conversations between agent, operator and tools on the
//! subjects of the contract. It must not know Kubernetes, command lines, or decisions about devices.
//!
//! Start with [`NatsConnection`], which connects once for tools ([`NatsConnection::connect`]) or permanently for
//! services ([`NatsConnection::connect_in_background`]). It is used by:
//! - agents, with [`NatsAgentLink`] for registering and heartbeats, [`CommandServer`] for commands, and
//!   [`NatsWorkloadLink`] for what to run;
//! - the operator, with [`NatsDeviceRegistry`], [`NatsOperatorLink`], and [`Fabric`] for the buckets;
//! - tools, with [`NatsDeviceCommander`] and [`NatsDeviceDirectory`], and [`FleetContext`] for the address;
//! - the operator and tools, with [`NatsDeploymentStore`], [`NatsDesiredStatePublisher`] and
//!   [`NatsObservedStateConsumer`].
//!
//! A device needs one NATS connection and one core subscription (plus one for replies), but no JetStream consumer and
//! no key-value watch. Heartbeats are core messages and are never stored.

mod agent_link;
mod authority;
mod backoff;
mod bucket;
mod command_server;
mod connection;
mod context;
mod decode;
mod fabric;
mod file;
mod operator_link;
mod options;
mod registry;
mod stores;
#[cfg(feature = "testing")]
pub mod testing;
mod tools;
mod workload_link;

pub use agent_link::NatsAgentLink;
pub use authority::{AuthorityError, InvalidAuthority, NatsAuthority};
pub use backoff::Backoff;
pub use command_server::{CommandServer, CommandServerError};
pub use connection::{NatsConnectError, NatsConnection};
pub use context::{ContextAuthority, ContextError, FleetContext};
pub use fabric::{BucketIdentity, Fabric, Prepared};
pub use operator_link::{ListRequest, NatsOperatorLink, RegistrationRequest, SubscribeFailed};
pub use options::{NatsAuth, NatsOptions, NatsServers, SettingsError};
pub use registry::NatsDeviceRegistry;
pub use stores::{NatsDeploymentStore, NatsDesiredStatePublisher, NatsObservedStateConsumer};
pub use tools::{NatsDeviceCommander, NatsDeviceDirectory};
pub use workload_link::NatsWorkloadLink;
