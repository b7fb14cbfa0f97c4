//! The capabilities of topologies, one per file. A capability is an industry concept and never a product.
//!
//! To decide whether a new capability is needed, ask whether a second product could implement it unchanged.
//! Capabilities use domain values and have their own error type, which adapters create from the errors of their
//! clients. A mutating method returns the [`Change`](crate::outcome::Change) that it made or, while planning, would
//! make. While planning, the clients refuse writes.
//!
//! Every capability except [`Clusters`] and [`Stages`] is `dyn`-compatible. A topology delegates it to one of its fields with one line:
//! `#[delegate(OciRegistry, target = "registry")]`.

pub mod checkup;
pub mod clusters;
pub mod container_builder;
pub mod continuous_delivery;
pub mod device_podman;
pub mod helm_registry;
pub mod kubernetes_cluster;
pub mod oci_registry;
pub mod prober;
pub mod pull_accounts;
pub mod release_records;
pub mod stages;
pub mod work_trees;

#[cfg(test)]
mod tests;

pub use checkup::Checkup;
pub use clusters::Clusters;
pub use container_builder::ContainerBuilder;
pub use continuous_delivery::ContinuousDelivery;
pub use device_podman::DevicePodman;
pub use helm_registry::HelmRegistry;
pub use kubernetes_cluster::KubernetesCluster;
pub use oci_registry::OciRegistry;
pub use prober::Prober;
pub use pull_accounts::PullAccounts;
pub use release_records::ReleaseRecords;
pub use stages::Stages;
pub use work_trees::WorkTrees;
