//! The fleet platform's Scores, and the command that deploys it.
//!
//! One Score per component, composed by [`FleetServerScore`]. The same Scores run on a laptop, in the end-to-end tests
//! and in CI; only the topology and where the artifacts come from differ.
//!
//! ```text
//! FleetServerScore
//!   |-- publish-work-tree      or find-releases: images and charts of all parts
//!   |-- RetireAgentsScore      removes the agents of devices that are no longer listed   (agent)
//!   |-- FleetNatsScore         NATS with a user for each role, and a certificate         (nats)
//!   |-- FleetOperatorScore     keeps the registry, reflects Devices; by its chart        (operator)
//!   `-- FleetAgentScore        one device, here as a pod; answers a ping                 (agent)
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`server`] | the whole platform: start here |
//! | [`platform`] | the options of the deploy command |
//! | [`nats`], [`operator`], [`agent`] | one component each |
//! | [`apps`] | an `AppSpec` for each component that is released, and the image of NATS |
//! | [`credentials`] | the passwords of the NATS users: made once, kept in the cluster |
//! | [`certificates`] | the certificate of NATS and its authority: likewise |
//! | [`access`] | how checks reach NATS, as tools do |
//! | [`release`] | `--release --from-tag`, for `harmony-fleet` |
//! | [`tools`] | what lets `harmony-fleet` on this machine find the fleet |
//!
//! This crate knows the framework and the fleet's domain; the runtime binaries know nothing of either this crate or the
//! framework.

pub mod access;
pub mod agent;
pub mod apps;
pub mod certificates;
pub mod credentials;
pub mod nats;
pub mod operator;
mod place;
pub mod platform;
mod pod;
pub mod release;
pub mod server;
pub mod tools;

pub use agent::{FleetAgentScore, FleetAgentTarget, RetireAgentsScore};
pub use nats::{FleetNatsAuth, FleetNatsScore};
pub use operator::FleetOperatorScore;
pub use server::FleetServerScore;
pub use tools::FleetToolsScore;

pub use release::ReleaseCommand;
