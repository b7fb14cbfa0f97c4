//! The words of Harmony, and nothing that touches the world.
//!
//! A [`Score`] says *what* is wanted, a [`Topology`] says *where*, an [`Interpret`] does it and
//! returns an [`Outcome`]. A Score names the capabilities it needs as bounds on its topology, so a Score whose needs
//! the topology lacks does not compile.
//!
//! ```text
//! Score<T> --create_interpret()--> Interpret<T> --execute(inventory, topology)--> Outcome | InterpretError
//!                                        |                                             |
//!                                        +-- calls the capabilities of T               +-- a list of Change
//! ```
//!
//! This crate knows no adapter, no Kubernetes client and no HTTP client: it holds values, traits and the code that
//! joins them.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`score`] | [`Score`] and [`Interpret`]: start here |
//! | [`composite`] | Scores made of Scores |
//! | [`topology`], [`inventory`] | where a Score runs, and what the machine is |
//! | [`context`], [`event`] | what every adapter carries: plan or apply, cancellation, progress |
//! | [`approval`] | who is asked before things are deleted |
//! | [`outcome`] | [`Outcome`] and [`Change`](outcome::Change): the one shape of plan, progress and result |
//! | [`diagnostic`], [`codes`], [`error`] | what an error tells beside its message; its code; [`InterpretError`] |
//! | [`verdict`] | why something does not work: [`Verdict`](verdict::Verdict) |
//! | [`verify`] | [`Workload`](verify::Workload): a Score of something that runs, with the readiness and the smoke checks it owes |
//! | [`image`], [`chart`], [`kubernetes`], [`owner`] | the values the capabilities speak |
//! | [`build_error`] | why an image could not be built |
//! | [`process`], [`cache_dir`], [`trust`] | for every adapter: starting programs without our secrets, files and folders that can be trusted |
//! | [`proxy`] | for every adapter: which proxy leads to a server |
//! | [`capability`] | one port per file |
//! | [`delegation`] | what a topology that hands its capabilities to adapters needs in scope |
//!
//! The module path is the name to use (`harmony_core::outcome::Change`); only the words that every Score needs are
//! repeated at the root.

pub mod approval;
pub mod build_error;
pub mod cache_dir;
mod cancelled;
pub mod capability;
pub mod chart;
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
