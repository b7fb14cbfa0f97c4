//! Podman for simulated devices.

use std::path::PathBuf;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::{ImageRef, ResourceName};

use crate::diagnostic::AnyDiagnostic;
use crate::outcome::Change;

/// Runs the containers of simulated devices, which are pods of the cluster. Real devices have their own podman.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` does not say whether it runs containers of simulated devices",
    label = "this topology lacks the capability `DevicePodman`",
    note = "use `K8sAnywhereTopology`, or implement `DevicePodman` for `{Self}`: without podman, return `Ok(None)`"
)]
pub trait DevicePodman: Send + Sync {
    /// The socket of the device's own podman on the node of the cluster, which is started if necessary; none if simulated
    /// devices of this cluster cannot run containers. While planning, nothing is started.
    ///
    /// # Errors
    /// Podman cannot be installed or started.
    async fn podman_socket(&self, device: &ResourceName) -> Result<Option<PathBuf>, AnyDiagnostic>;

    /// Makes an image that was published available to a device; none if it pulls it itself. While planning, nothing is
    /// copied.
    ///
    /// # Errors
    /// The image was not published, or cannot be copied.
    async fn provide_to_device(
        &self,
        device: &ResourceName,
        image: &ImageRef,
    ) -> Result<Option<Change>, AnyDiagnostic>;
}
