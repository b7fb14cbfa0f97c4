//! The crate that apps import: topologies, reusable Scores, and the core.
//!
//! The binary of an app is a single call:
//!
//! ```no_run
//! use harmony::prelude::*;
//!
//! fn main() -> ExitCode {
//!     harmony::main(|| {
//!         let app = AppSpec::rust(env!("CARGO_MANIFEST_DIR"), "hello-web")?.serving(HttpServer::on(8080));
//!         Ok(App::of(app).to(DeployTarget::namespace("hello".parse()?)))
//!     })
//! }
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | [`prelude`] | the imports for an app's binary |
//! | [`entry`] | [`main()`], and [`main_with()`] for a binary with its own options |
//! | [`program`] | [`Program`](program::Program): what a binary releases and deploys; [`App`](program::App) for the usual case |
//! | [`rust_app`] | apps that are a crate of a Cargo workspace |
//! | [`topologies`] | where Scores run: a laptop, a CI job, staging and production |
//! | [`configuration`] | the settings of topologies, from a file and the environment |
//! | [`scores`] | general-purpose Scores: Kubernetes objects, charts, NATS |
//! | [`release`], [`cli`] | releasing and deploying; the command line |
//! | [`core`] | Score, Topology, the capabilities, outcomes: start here |
//! | [`types`] | validated values: names, references, versions |
//! | [`charts`] | the chart format, and third-party charts |
//! | [`containers`], [`registry`], [`kubernetes`], [`local`] | the adapters, for custom topologies |

#![warn(missing_docs)]

pub mod configuration;
pub mod dirs;
pub mod entry;
pub mod prelude;
pub mod program;
pub mod rust_app;
pub mod scores;
mod setup;
pub mod topologies;

pub use entry::{main, main_with};
pub use harmony_charts as charts;
pub use harmony_cli as cli;
pub use harmony_containers as containers;
pub use harmony_core as core;
pub use harmony_core::{
    Context, Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait, scores,
};
pub use harmony_kubernetes as kubernetes;
pub use harmony_local as local;
pub use harmony_registry as registry;
pub use harmony_release as release;
pub use harmony_types as types;
pub use setup::SetupError;
pub use topologies::{CiTopology, K8sAnywhereTopology, ProductionTopology};

/// Selects the TLS provider of this process. Call it first in every `main` and test. Calling it again has no effect.
pub fn install_crypto() {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
