//! The capabilities that a topology may have: one port per file, each an industry concept, never a product.
//!
//! The test for a new one: could a second product implement it unchanged? Ports speak domain values and return their
//! own error, which an adapter fills from its client's. A mutating method returns the
//! [`Change`](crate::outcome::Change) it made or, when the topology plans, would make; a planning adapter's transport
//! refuses writes.
//!
//! Every port is `dyn`-compatible and can be handed to a field of a topology with one line:
//! `#[delegate(OciRegistry, target = "registry")]`.

pub mod container_builder;
pub mod continuous_delivery;
pub mod helm_registry;
pub mod kubernetes_cluster;
pub mod oci_registry;
pub mod prober;
pub mod release_records;
pub mod work_trees;

pub use container_builder::ContainerBuilder;
pub use continuous_delivery::ContinuousDelivery;
pub use helm_registry::HelmRegistry;
pub use kubernetes_cluster::KubernetesCluster;
pub use oci_registry::OciRegistry;
pub use prober::Prober;
pub use release_records::ReleaseRecords;
pub use work_trees::WorkTrees;
