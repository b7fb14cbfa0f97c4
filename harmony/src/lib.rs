//! What an app imports: the topologies, the reusable Scores, and the core under one name.
//!
//! An app's `*-deploy` crate says what it deploys and hands it to a topology:
//!
//! ```ignore
//! let topology = K8sAnywhereTopology::from_env()?;
//! harmony_cli::run(Inventory::autoload(), topology, scores![MyAppScore { .. }], None).await
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`topologies`] | where Scores run: a laptop, a CI job |
//! | [`scores`] | general Scores: Kubernetes objects, charts, NATS |
//! | [`core`] | Score, Topology, the capabilities, outcomes: see there first |
//! | [`types`] | checked values: names, references, versions |
//! | [`containers`], [`registry`], [`kubernetes`] | the adapters, for who composes a topology of their own |

pub mod dirs;
pub mod scores;
pub mod topologies;

pub use harmony_containers as containers;
pub use harmony_core as core;
pub use harmony_core::{
    Context, Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait, scores,
};
pub use harmony_kubernetes as kubernetes;
pub use harmony_registry as registry;
pub use harmony_types as types;
pub use topologies::{CiTopology, K8sAnywhereTopology};

/// Chooses the one TLS provider of this process. Call it first in every `main` and test; calling it again is harmless.
pub fn install_crypto() {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
