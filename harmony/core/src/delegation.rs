//! The imports that a topology needs for delegating its capabilities: `use harmony_core::delegation::*;`.
//!
//! Delegation uses `macro_rules!` macros that refer to the types in the methods of the capability by their short names,
//! so these names must be in scope.

pub use std::path::PathBuf;
pub use std::time::Duration;

pub use ambassador::Delegate;
pub use harmony_types::{
    ChartRef, Digest, ImageRef, Namespace, ReleaseUnit, ResourceName, Version,
};

pub use crate::async_trait;
pub use crate::capability::checkup::*;
pub use crate::capability::container_builder::*;
pub use crate::capability::continuous_delivery::*;
pub use crate::capability::device_podman::*;
pub use crate::capability::helm_registry::*;
pub use crate::capability::kubernetes_cluster::*;
pub use crate::capability::oci_registry::*;
pub use crate::capability::prober::*;
pub use crate::capability::pull_accounts::*;
pub use crate::capability::release_records::*;
pub use crate::capability::work_trees::*;
pub use crate::chart::{DeployTarget, PackagedChart, PackagedObjects, PublishedObjects};
pub use crate::diagnostic::AnyDiagnostic;
pub use crate::image::{BuildContext, Built};
pub use crate::kubernetes::{ClusterCapabilities, KubeObject, ObjectQuery, ObjectRef};
pub use crate::outcome::Change;
pub use crate::owner::Owner;
pub use crate::verify::{ProbeFailure, ServicePort, SmokeCheck};
