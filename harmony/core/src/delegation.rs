//! What the delegation table of a topology needs in scope: `use harmony_core::delegation::*;`.
//!
//! The macros that hand a capability to a field are `macro_rules!` and name the types of the port's methods as the port's
//! file does, so these types have to be there under the same names.

pub use std::path::PathBuf;
pub use std::time::Duration;

pub use ambassador::Delegate;
pub use harmony_types::{ChartRef, Digest, ImageRef, Namespace, ReleaseUnit, Version};

pub use crate::async_trait;
pub use crate::capability::container_builder::*;
pub use crate::capability::continuous_delivery::*;
pub use crate::capability::helm_registry::*;
pub use crate::capability::kubernetes_cluster::*;
pub use crate::capability::oci_registry::*;
pub use crate::capability::prober::*;
pub use crate::capability::release_records::*;
pub use crate::capability::work_trees::*;
pub use crate::chart::{DeployTarget, PackagedChart};
pub use crate::image::{BuildContext, Built};
pub use crate::kubernetes::{ClusterCapabilities, KubeObject, ObjectQuery, ObjectRef};
pub use crate::outcome::Change;
pub use crate::owner::Owner;
pub use crate::verify::{ProbeFailure, ServicePort, SmokeCheck};
