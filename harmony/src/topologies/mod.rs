//! The topologies. Each one is a struct of adapters and delegates its capabilities to them, with one `#[delegate]` line
//! each.
//!
//! | topology | builds with | destination of images | destination of charts | delivery |
//! | --- | --- | --- | --- | --- |
//! | [`K8sAnywhereTopology`] | native assembler, Docker for Dockerfiles | the local node or k3d; a registry for any other cluster | a directory | direct apply |
//! | [`CiTopology`] | native assembler, Docker for Dockerfiles | an OCI registry or Harbor | the same registry | direct apply |
//! | [`ProductionTopology`] | as configured | an OCI registry or Harbor | the same registry | as configured |

#![expect(
    clippy::duplicated_attributes,
    reason = "two capabilities may be delegated to one field"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the attributes name what is delegated"
)]

mod chart_store;
mod checkup;
mod ci;
mod configured_builder;
mod host_builder;
mod k8s_anywhere;
mod lazy_cluster;
mod named_registry;
mod no_cluster;
mod node_images;
mod planned;
mod production;
mod registry_env;

pub use chart_store::ChartStore;
pub use ci::{CiSettings, CiTopology};
pub use host_builder::HostBuilder;
pub use k8s_anywhere::{ClusterChoice, K8sAnywhereTopology};
pub use lazy_cluster::LazyCluster;
pub use node_images::NodeImages;
pub use production::{ProductionSettings, ProductionTopology};
pub use registry_env::RegistryEnvError;
pub(crate) use registry_env::settings_for;

pub use crate::configuration::{Kubeconfig, REGISTRY};
