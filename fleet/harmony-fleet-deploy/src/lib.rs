//! The Scores of the fleet platform, and its deploy command.
//!
//! There is one Score per component, and [`FleetServerScore`] combines them. Laptops, end-to-end tests and CI run the
//! same Scores; only the topology and the source of the artifacts differ.
//!
//! ```text
//! FleetServerScore
//!   |-- publish-work-tree      or find-releases: images and charts of all parts
//!   |-- RetireAgentsScore      removes the agents of devices that are no longer listed   (agent)
//!   |-- FleetNatsScore         NATS with a user for each role, and a certificate         (nats)
//!   |-- FleetOperatorScore     keeps the registry, reflects Devices; by its chart        (operator)
//!   |-- FleetAgentScore        one device, here as a pod; answers a ping                 (agent)
//!   `-- MonitoringScore        only with `--monitoring`: watches the operator             (monitoring)
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | [`server`] | the whole platform: start here |
//! | [`platform`] | the options of the deploy command |
//! | [`nats`], [`operator`], [`agent`] | one component each |
//! | [`mod@monitoring`] | what is watched, and when an alert is raised |
//! | [`apps`] | an `AppSpec` for each released component, and the NATS image |
//! | [`credentials`] | the passwords of the NATS users: created once and stored in the cluster |
//! | [`certificates`] | the certificate of NATS and its authority, in the same way |
//! | [`access`] | connects checks to NATS, like tools |
//! | [`example`] | an example deployment for the device of this machine |
//! | [`release`] | `--release --from-tag`, for `harmony-fleet` |
//! | [`tools`] | how `harmony-fleet` on this machine finds the fleet |
//!
//! This crate depends on the framework and the fleet's domain. The runtime binaries depend neither on this crate nor on
//! the framework.

pub mod access;
pub mod agent;
pub mod apps;
pub mod certificates;
pub mod credentials;
pub mod example;
pub mod monitoring;
pub mod nats;
pub mod operator;
mod place;
pub mod platform;
mod pod;
pub mod release;
pub mod server;
pub mod tools;

pub use agent::{FleetAgentScore, FleetAgentTarget, RetireAgentsScore};
pub use example::DeviceExampleScore;
pub use nats::{FleetNatsAuth, FleetNatsScore};
pub use operator::FleetOperatorScore;
pub use server::FleetServerScore;
pub use tools::FleetToolsScore;

pub use release::ReleaseCommand;
