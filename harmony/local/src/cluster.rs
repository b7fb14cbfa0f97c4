//! The two kinds of clusters on this machine, behind one type.

use std::path::{Path, PathBuf};

use harmony_core::diagnostic::{Diagnostic, Origin};
use harmony_core::outcome::Change;
use harmony_core::{Context, Outcome};
use harmony_types::ImageRef;

use crate::k3d::{K3d, K3dError};
use crate::node::{Health, LocalNode, LocalNodeError};

/// A Kubernetes cluster on this machine, started when it is needed. Images are imported into its nodes and not pushed
/// to a registry.
#[derive(Debug, Clone)]
pub enum LocalCluster {
    /// A real single-node Kubernetes without Docker.
    Node(LocalNode),
    /// A k3d cluster, for machines with a Docker engine.
    K3d(K3d),
}

/// The error of a cluster on this machine.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum LocalClusterError {
    Node(#[from] LocalNodeError),
    K3d(#[from] K3dError),
}

impl Diagnostic for LocalClusterError {
    fn origin(&self) -> Origin<'_> {
        Origin::Inner(match self {
            Self::Node(error) => error,
            Self::K3d(error) => error,
        })
    }
}

impl LocalCluster {
    /// The name in messages.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Node(_) => "local node",
            Self::K3d(_) => "k3d cluster",
        }
    }

    /// Returns what `up` would change, or the reason why it cannot succeed. Changes nothing.
    pub async fn preflight(&self, ctx: &Context) -> Result<Outcome, LocalClusterError> {
        self.up(&ctx.planning()).await
    }

    /// Starts the cluster. In planning mode nothing is changed, and the outcome contains what would be changed.
    pub async fn up(&self, ctx: &Context) -> Result<Outcome, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.up(ctx).await?,
            Self::K3d(k3d) => k3d.ensure(ctx).await?,
        })
    }

    /// Returns true if the cluster is running and works. Changes nothing.
    pub async fn is_ready(&self, ctx: &Context) -> Result<bool, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.status().await?.health == Health::Ready,
            Self::K3d(k3d) => k3d.ensure(&ctx.planning()).await?.is_unchanged(),
        })
    }

    /// The admin kubeconfig of a running cluster.
    pub async fn kubeconfig(&self) -> Result<PathBuf, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.kubeconfig(),
            Self::K3d(k3d) => k3d.kubeconfig().await?,
        })
    }

    /// The command that makes `kubectl` use the cluster.
    pub fn kubectl_hint(&self) -> String {
        match self {
            Self::Node(node) => format!("export KUBECONFIG={}", node.kubeconfig().display()),
            Self::K3d(_) => "export KUBECONFIG=$(k3d kubeconfig write harmony)".into(),
        }
    }

    /// Returns true if this machine can reach the addresses of Services.
    pub fn serves_this_machine(&self) -> bool {
        matches!(self, Self::Node(_))
    }

    /// Imports the image of an OCI image layout into the cluster.
    pub async fn import(
        &self,
        ctx: &Context,
        layout: &Path,
        image: &ImageRef,
    ) -> Result<Change, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.import_image(ctx, layout, image).await?,
            Self::K3d(k3d) => k3d.import_image(ctx, layout, image).await?,
        })
    }

    /// Returns true if the cluster has the image. For k3d this is always false, because its nodes are not queried: the
    /// import reports if the image already exists, and a plan may show an image too many.
    pub async fn has_image(&self, image: &ImageRef) -> Result<bool, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.has_image(image).await?,
            Self::K3d(_) => false,
        })
    }
}
