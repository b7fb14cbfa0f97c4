//! The image store of a cluster on this machine, which a laptop uses instead of a registry.

use std::path::PathBuf;

use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::capability::pull_accounts::{Issued, RegistryLogin};
use harmony_core::capability::{DevicePodman, OciRegistry, PullAccounts};
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic};
use harmony_core::image::{Built, ImageLocation};
use harmony_core::outcome::{Action, Change};
use harmony_core::{Context, async_trait};
use harmony_local::LocalCluster;
use harmony_types::{Digest, ImageRef, ResourceName};

use super::LazyCluster;

/// The host in the names of images that exist only on this machine. Nothing is ever pulled from it.
pub(super) const LOCAL_HOST: &str = "harmony.localhost:5000";

/// Imports images into the nodes of a cluster on this machine.
///
/// Unlike in a registry, a version can be replaced: a laptop deploys what it has just built, by digest.
#[derive(Debug, Clone)]
pub struct NodeImages {
    context: Context,
    store: LocalCluster,
    cluster: LazyCluster,
    location: RegistryLocation,
}

fn adapter(error: impl Diagnostic) -> RegistryError {
    RegistryError::Adapter(AnyDiagnostic::new(error))
}

impl NodeImages {
    /// The image store of the cluster that `cluster` starts.
    pub fn new(context: Context, store: LocalCluster, cluster: LazyCluster) -> Self {
        let host = LOCAL_HOST.parse().expect("a valid host");
        let location = RegistryLocation::new(host, None).expect("no project is not too long");
        Self {
            context,
            store,
            cluster,
            location,
        }
    }

    async fn is_present(&self, image: &ImageRef) -> Result<bool, RegistryError> {
        if self.context.is_planning() && !self.cluster.is_there().await? {
            return Ok(false);
        }
        self.store.has_image(image).await.map_err(adapter)
    }

    /// The action for importing another image under this name.
    async fn replacement(&self, name: &ImageRef) -> Result<Action, RegistryError> {
        Ok(if self.is_present(name).await? {
            Action::Update
        } else {
            Action::Create
        })
    }
}

#[async_trait]
impl PullAccounts for NodeImages {
    async fn accepts(&self, _login: &RegistryLogin) -> Result<bool, RegistryError> {
        Ok(false)
    }

    async fn issue(&self, _: &ResourceName, _: &str) -> Result<Issued, RegistryError> {
        Ok(Issued::NotNeeded)
    }
}

#[async_trait]
impl DevicePodman for NodeImages {
    async fn podman_socket(&self, device: &ResourceName) -> Result<Option<PathBuf>, AnyDiagnostic> {
        match &self.store {
            LocalCluster::Node(node) => {
                let socket = node.podman(&self.context, device).await;
                socket.map(Some).map_err(AnyDiagnostic::new)
            }
            // A node is a container, which does not see podman on this machine.
            LocalCluster::K3d(_) => Ok(None),
        }
    }

    async fn provide_to_device(
        &self,
        device: &ResourceName,
        image: &ImageRef,
    ) -> Result<Option<Change>, AnyDiagnostic> {
        match &self.store {
            LocalCluster::Node(node) if !self.context.is_planning() => {
                let provided = node.provide_to_device(&self.context, device, image).await;
                provided.map(Some).map_err(AnyDiagnostic::new)
            }
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl OciRegistry for NodeImages {
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError> {
        self.cluster
            .cluster()
            .await
            .map_err(RegistryError::Adapter)?;
        let digest = image.digest().cloned();
        let change = match image {
            Built::Predicted(None) => {
                let action = self.replacement(to).await?;
                Change::new(action, to.clone()).with_note("digest known after build")
            }
            Built::Predicted(Some(digest)) => {
                let pinned = to.clone().with_digest(digest.clone());
                let action = if self.is_present(&pinned).await? {
                    Action::Unchanged
                } else {
                    self.replacement(to).await?
                };
                Change::new(action, to.clone()).with_note(digest.short())
            }
            Built::Image(built) => {
                let ImageLocation::OciLayout(layout) = &built.location else {
                    return Err(RegistryError::Local {
                        what: to.to_string(),
                        source:
                            "images in a Docker daemon cannot be imported into the local node yet"
                                .into(),
                    });
                };
                let pinned = to.clone().with_digest(built.digest.clone());
                {
                    let import = self.store.import(&self.context, layout, &pinned);
                    import.await.map_err(adapter)?
                }
            }
        };
        Ok(Published { change, digest })
    }

    /// Finds only images with a digest, because the tag of a local image can be replaced.
    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        let Some(digest) = image.digest().cloned() else {
            return Ok(None);
        };
        Ok(self.is_present(image).await?.then_some(digest))
    }

    fn registry_url(&self) -> &RegistryLocation {
        &self.location
    }
}
