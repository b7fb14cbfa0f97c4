//! The kubeconfig that names the cluster of a topology.

use std::path::PathBuf;

use harmony_core::Context;
use harmony_core::capability::clusters::ClustersError;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_kubernetes::Cluster;
use harmony_types::KubeContext;

/// An explicitly configured kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// The path of the file.
    pub path: PathBuf,
    /// The context; `None` for the current context of the file.
    pub context: Option<String>,
}

impl Kubeconfig {
    /// The variable with the path of a kubeconfig.
    pub const FILE: &str = "HARMONY_KUBECONFIG";
    /// The variable with the name of a context in it.
    pub const CONTEXT: &str = "HARMONY_KUBE_CONTEXT";

    /// The kubeconfig in the environment. An empty variable counts as unset.
    pub fn from_env() -> Option<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Some(Self {
            path: set(Self::FILE)?.into(),
            context: set(Self::CONTEXT).map(|context| context.to_string_lossy().into_owned()),
        })
    }

    /// The other cluster of that name, if a kubeconfig is configured.
    pub(crate) fn on_cluster(
        configured: Option<&Self>,
        cluster: &KubeContext,
    ) -> Result<Self, ClustersError> {
        let configured = configured.ok_or_else(|| ClustersError::NoKubeconfig {
            cluster: cluster.clone(),
            variable: Self::FILE,
        })?;
        Ok(Self {
            path: configured.path.clone(),
            context: Some(cluster.to_string()),
        })
    }

    pub(crate) async fn connect(&self, context: &Context) -> Result<Cluster, AnyDiagnostic> {
        Cluster::connect(context, &self.path, self.context.as_deref())
            .await
            .map_err(AnyDiagnostic::new)
    }
}
