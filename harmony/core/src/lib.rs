//! The core types of Harmony, without any I/O to the outside world.
//!
//! A [`Score`] describes *what* you want, a [`Topology`] *where* it runs, and an [`Interpret`] does the work and
//! returns an [`Outcome`]. A Score lists the capabilities it needs as trait bounds on its topology, so a Score does not
//! compile if the topology lacks a capability.
//!
//! ```text
//! Score<T> --create_interpret()--> Interpret<T> --execute(inventory, topology)--> Outcome | InterpretError
//!                                        |                                             |
//!                                        +-- calls the capabilities of T               +-- a list of Change
//! ```
//!
//! This crate has no adapters, no Kubernetes client and no HTTP client. It contains values, traits and the code that
//! connects them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`score`] | [`Score`] and [`Interpret`]: start here |
//! | [`composite`] | composite Scores |
//! | [`at_stage`], [`on_cluster`] | a Score on the cluster of a stage, or on any other cluster of its topology |
//! | [`topology`], [`inventory`] | where a Score runs, and facts about the machine |
//! | [`context`], [`event`] | the shared state of adapters: plan or apply, cancellation, progress |
//! | [`approval`] | approval of deletions |
//! | [`outcome`] | [`Outcome`] and [`Change`](outcome::Change), used for plans, progress and results |
//! | [`diagnostic`], [`codes`], [`error`] | additional information about errors; error codes; [`InterpretError`] |
//! | [`verdict`] | the reason why something does not work: [`Verdict`](verdict::Verdict) |
//! | [`verify`] | [`Workload`](verify::Workload): something that runs, with its readiness and smoke checks |
//! | [`image`], [`chart`], [`kubernetes`], [`owner`] | the values used by capabilities |
//! | [`checkup`] | the results of examining a topology |
//! | [`build_error`] | errors of building an image |
//! | [`process`], [`cache_dir`], [`trust`] | for all adapters: starting programs without our secrets, secure files and directories |
//! | [`proxy`] | for every adapter: which proxy leads to a server |
//! | [`capability`] | the capabilities, one file each |
//! | [`delegation`] | imports for topologies that delegate their capabilities to adapters |
//!
//! Use types by their module path (`harmony_core::outcome::Change`). Only the types that every Score needs are
//! re-exported at the root.

#![warn(missing_docs)]

pub mod approval;
pub mod at_stage;
pub mod build_error;
pub mod cache_dir;
mod cancelled;
pub mod capability;
pub mod chart;
pub mod checkup;
pub mod codes;
pub mod composite;
pub mod context;
pub mod delegation;
pub mod diagnostic;
pub mod error;
pub mod event;
pub mod image;
pub mod inventory;
pub mod kubernetes;
pub mod on_cluster;
pub mod outcome;
pub mod owner;
pub mod process;
pub mod proxy;
pub mod score;
pub mod topology;
pub mod trust;
pub mod verdict;
pub mod verify;

pub use async_trait::async_trait;
pub use context::{Context, Mode};
pub use diagnostic::Diagnostic;
pub use error::InterpretError;
pub use inventory::Inventory;
pub use outcome::Outcome;
pub use score::{Interpret, Score};
pub use topology::Topology;
