//! Kubernetes for Harmony: the adapter behind `KubernetesCluster`, `Prober` and `ContinuousDelivery`.
//!
//! It must not know: Scores, topologies, releases, how images are built or pushed. It speaks the values of
//! `harmony_core`; the structs of `k8s_openapi` stay inside, except in [`readiness::Surroundings`], the input of the pure
//! decisions.
//!
//! # Code map
//!
//! Start with [`Cluster`] (`cluster.rs`): every operation of the port is a few lines there that lead to the module that
//! does it.
//!
//! | module | what it does | its pure core |
//! | --- | --- | --- |
//! | [`cluster`] | [`Cluster`]: one cluster from an explicit kubeconfig; get, list, delete | |
//! | `connection`, `client`, `read_only` | what every operation goes through; while planning, a transport that refuses writes | what counts as a read |
//! | `schema`, `field_path` | what the server says about fields that are wrong, in all its wordings | all of it |
//! | `delete` | removes exactly the object that was looked at | |
//! | `kinds`, `fault` | discovery, cached; the server's answers as errors of the port | both |
//! | [`apply`] | server-side apply: one read for what is unchanged, a dry run of everything before the first write | all but the requests |
//! | [`readiness`] | waits for the current revision, finds out why not, gathers logs and events | [`readiness::Tracker`] |
//! | `probe` | HTTP, TCP, exec and NATS checks, tunnels; all through the API server | routes, answers |
//! | [`hooks`] | runs the hooks of a chart around its objects, and its tests | which, in which order, what makes way |
//! | [`delivery`] | [`DirectDelivery`]: chart, namespace, inventory, apply, prune | the inventory |
//!
//! # What holds everywhere
//!
//! - The ambient kubeconfig is never read.
//! - While planning nothing can be written: the transport refuses it, whatever the code above does.
//! - Values of Secrets appear in no error, change, event or `Debug` output.
//! - Every operation may be cancelled or killed at any await and run again.
//!
//! The binary installs the TLS provider (`rustls`, aws-lc-rs) before it connects.

pub mod apply;
mod client;
pub mod cluster;
mod connection;
mod create;
mod delete;
pub mod delivery;
mod fault;
mod field_path;
pub mod hooks;
mod kinds;
mod marks;
mod probe;
mod read_only;
pub mod readiness;
mod schema;

pub use cluster::Cluster;
pub use delivery::DirectDelivery;
