//! The fleet platform's Scores, and the command that deploys it.
//!
//! One Score per component, composed by [`FleetServerScore`]. The same Scores run on a laptop, in the end-to-end tests
//! and in production; only the topology differs.
//!
//! ```text
//! FleetServerScore
//!   |-- FleetNatsScore       NATS with a user for each role        (nats)
//!   |-- FleetOperatorScore   keeps the registry, reflects Devices  (operator)
//!   `-- FleetAgentScore      one device, here as a pod             (agent)
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`server`] | the whole platform: start here |
//! | [`platform`] | the options of the deploy command |
//! | [`nats`], [`operator`], [`agent`] | one component each |
//! | [`apps`] | what of the fleet can be released: an `AppSpec` for each component, and the image of NATS |
//! | [`credentials`] | the passwords of the NATS users: made once, kept in the cluster |
//! | [`release`] | `--release --from-tag`, for `harmony-fleet` |
//! | [`tools`] | what lets `harmony-fleet` on this machine find the fleet |
//!
//! This crate knows the framework and the fleet's domain; the runtime binaries know nothing of either this crate or the
//! framework.

pub mod agent;
pub mod apps;
pub mod credentials;
pub mod nats;
pub mod operator;
pub mod platform;
mod pod;
pub mod release;
pub mod server;
pub mod tools;

pub use agent::{FleetAgentScore, FleetAgentTarget};
pub use nats::{FleetNatsAuth, FleetNatsScore};
pub use operator::FleetOperatorScore;
pub use server::FleetServerScore;
pub use tools::FleetToolsScore;

pub use harmony_release::ReleaseArgs;
