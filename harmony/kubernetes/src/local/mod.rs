//! Clusters on this machine, for laptops and tests.
//!
//! [`k3d`] is used where a Docker engine runs. [`node`] needs none: it starts a real single-node Kubernetes from one
//! program that it builds itself, and the distribution's containerd. Which one a topology takes is the topology's
//! decision; nothing here chooses.

pub mod k3d;
pub mod node;
