//! More than one cluster.

use harmony_types::KubeContext;

use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};

/// Has clusters beside the one that it uses by default, each known by a name.
///
/// [`OnCluster`](crate::on_cluster::OnCluster) runs a Score on one of them.
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` has one cluster only",
    label = "this topology lacks the capability `Clusters`",
    note = "deploy to another namespace instead, or use a topology that takes a kubeconfig, such as `CiTopology`"
)]
pub trait Clusters: Sized + Send + Sync {
    /// The same topology with that cluster for its own: in the same mode, of the same run. Nothing is asked yet.
    ///
    /// # Errors
    /// No kubeconfig was named, so that there are no contexts to choose from.
    fn on_cluster(&self, cluster: &KubeContext) -> Result<Self, ClustersError>;
}

/// Why there is no such cluster.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClustersError {
    /// The topology was given no kubeconfig.
    #[error("there is no kubeconfig that has the context `{cluster}`")]
    NoKubeconfig {
        /// The cluster that was asked for.
        cluster: KubeContext,
        /// The variable that names a kubeconfig.
        variable: &'static str,
    },
}

impl Diagnostic for ClustersError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_OTHER_CLUSTER)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        let Self::NoKubeconfig { variable, .. } = self;
        Some(format!("environment variable {variable}"))
    }

    fn hints(&self) -> Vec<String> {
        let Self::NoKubeconfig { cluster, variable } = self;
        vec![format!(
            "set {variable} to a kubeconfig that has the context `{cluster}`"
        )]
    }
}
