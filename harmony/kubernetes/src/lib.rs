//! Kubernetes for Harmony: the adapter for `KubernetesCluster`, `Prober` and `ContinuousDelivery`.
//!
//! This crate must not know Scores, topologies, releases, or how images are built or pushed. It uses the types of
//! `harmony_core`; the structs of `k8s_openapi` stay inside, except in [`readiness::Surroundings`], the input of the
//! pure decisions.
//!
//! # Code map
//!
//! Start with [`Cluster`] (`cluster.rs`): each operation of the port is a few lines that call the module that
//! implements it.
//!
//! | module | what it does | pure part |
//! | --- | --- | --- |
//! | [`cluster`] | [`Cluster`]: one cluster from an explicit kubeconfig; get, list, delete | |
//! | `connection`, `client`, `read_only` | the connection; while planning, a transport that refuses writes | what counts as a read |
//! | `schema`, `field_path` | parses all forms of the server's messages about invalid fields | all of it |
//! | `delete` | deletes an object by UID | |
//! | `kinds`, `fault` | cached discovery; converts the server's answers to errors of the port | both |
//! | [`apply`] | server-side apply: one read for unchanged objects, a dry run of everything before the first write | all but the requests |
//! | [`readiness`] | waits for the current revision, diagnoses failures, collects logs and events | [`readiness::Tracker`] |
//! | `probe` | HTTP, TCP, exec and NATS checks, and tunnels, all through the API server | routes, answers |
//! | `checkup` | whether the cluster answers and what we may do there, for `doctor` | |
//! | [`hooks`] | runs the hooks of a chart around its objects, and its tests | which, in which order, what makes way |
//! | [`delivery`] | [`DirectDelivery`]: chart, namespace, inventory, apply, prune | the inventory |
//!
//! # What holds everywhere
//!
//! - An ambient kubeconfig is never read.
//! - Planning cannot write: the transport refuses it, whatever the code above does.
//! - Values of Secrets never appear in errors, changes, events or `Debug` output.
//! - Every operation can be cancelled or killed at any await, and run again.
//!
//! The binary must install the TLS provider (`rustls`, aws-lc-rs) before it connects.

pub mod apply;
mod checkup;
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
