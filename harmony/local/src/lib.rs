//! Kubernetes on this machine, for laptops and tests.
//!
//! It must not know: how objects are applied, Scores, topologies, releases. It brings a cluster up, says where its
//! kubeconfig is, and imports images.
//!
//! [`k3d`] is used where a Docker engine runs. [`node`] needs none: it starts a real single-node Kubernetes from one
//! program that it builds itself, and the distribution's containerd. [`LocalCluster`] is either. Which one a topology takes is the topology's
//! decision; nothing here chooses.

mod cluster;
pub mod k3d;
pub mod node;

pub use cluster::{LocalCluster, LocalClusterError};
