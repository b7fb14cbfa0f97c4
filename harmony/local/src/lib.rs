//! Kubernetes on this machine, for laptops and tests.
//!
//! This crate must not know how objects are applied, Scores, topologies, or releases. It starts a cluster, returns the
//! path of its kubeconfig, and imports images.
//!
//! [`k3d`] needs a Docker engine. [`node`] does not: it starts a real single-node Kubernetes with a program that it
//! builds itself, and with containerd from the Linux distribution. [`LocalCluster`] is one of the two. The topology
//! decides which one to use.

mod cluster;
pub mod k3d;
pub mod node;

pub use cluster::{LocalCluster, LocalClusterError};
