//! The two clusters that this machine can have, behind one type.

use std::path::{Path, PathBuf};

use harmony_core::diagnostic::{Diagnostic, Origin};
use harmony_core::outcome::Change;
use harmony_core::{Context, Outcome};
use harmony_types::ImageRef;

use crate::k3d::{K3d, K3dError};
use crate::node::{Health, LocalNode, LocalNodeError};

/// A Kubernetes on this machine, brought up when it is needed. Images go into its nodes, not into a registry.
#[derive(Debug, Clone)]
pub enum LocalCluster {
    /// A real single-node Kubernetes without Docker.
    Node(LocalNode),
    /// A k3d cluster, where a Docker engine runs.
    K3d(K3d),
}

/// Why a cluster on this machine could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum LocalClusterError {
    /// The local node.
    Node(#[from] LocalNodeError),
    /// k3d.
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
    /// What it is called in messages.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Node(_) => "local node",
            Self::K3d(_) => "k3d cluster",
        }
    }

    /// What `up` would change, or why it could never succeed. Changes nothing.
    pub async fn preflight(&self, ctx: &Context) -> Result<Outcome, LocalClusterError> {
        self.up(&ctx.planning()).await
    }

    /// Brings the cluster up. In planning mode nothing is changed, and the outcome says what would be.
    pub async fn up(&self, ctx: &Context) -> Result<Outcome, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.up(ctx).await?,
            Self::K3d(k3d) => k3d.ensure(ctx).await?,
        })
    }

    /// Whether the cluster is there and works. Changes nothing.
    pub async fn is_ready(&self, ctx: &Context) -> Result<bool, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.status().await?.health == Health::Ready,
            Self::K3d(k3d) => k3d.ensure(&ctx.planning()).await?.is_unchanged(),
        })
    }

    /// The administrator's kubeconfig, once the cluster is up.
    pub async fn kubeconfig(&self) -> Result<PathBuf, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.kubeconfig(),
            Self::K3d(k3d) => k3d.kubeconfig().await?,
        })
    }

    /// What a person types so that `kubectl` finds the cluster.
    pub fn kubectl_hint(&self) -> String {
        match self {
            Self::Node(node) => format!("export KUBECONFIG={}", node.kubeconfig().display()),
            Self::K3d(_) => "export KUBECONFIG=$(k3d kubeconfig write harmony)".into(),
        }
    }

    /// Whether this machine reaches the addresses of Services.
    pub fn serves_this_machine(&self) -> bool {
        matches!(self, Self::Node(_))
    }

    /// Puts the one image of an OCI image layout into the cluster.
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

    /// Whether the cluster has the image. The nodes of a k3d cluster are not asked: an import that finds the image says
    /// so, and a plan shows one image too many rather than one too few.
    pub async fn has_image(&self, image: &ImageRef) -> Result<bool, LocalClusterError> {
        Ok(match self {
            Self::Node(node) => node.has_image(image).await?,
            Self::K3d(_) => false,
        })
    }
}
