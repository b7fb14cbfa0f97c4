//! The cluster of a kubeconfig that may not be configured.

use harmony_core::chart::Stage;
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic, FailureKind, Origin};
use harmony_core::{Context, codes};
use harmony_kubernetes::Cluster;

use crate::configuration::Kubeconfig;

/// Connects to the cluster of `kubeconfig`, which is for targets of `stage`.
pub(super) async fn connect(
    context: Context,
    kubeconfig: Option<Kubeconfig>,
    stage: Stage,
) -> Result<Cluster, AnyDiagnostic> {
    let kubeconfig = kubeconfig.ok_or_else(|| AnyDiagnostic::new(NoCluster { stage }))?;
    kubeconfig.connect(&context).await
}

/// A deploy without a cluster.
#[derive(Debug, thiserror::Error)]
#[error("no cluster is configured{}", of(*stage))]
struct NoCluster {
    stage: Stage,
}

fn of(stage: Stage) -> String {
    match stage {
        Stage::Only => String::new(),
        stage => format!(" for {stage}"),
    }
}

impl Diagnostic for NoCluster {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_CLUSTER)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        Some(match self.stage {
            Stage::Only => format!("environment variable {}", Kubeconfig::FILE),
            stage => format!("configuration key cluster.{stage}.kubeconfig"),
        })
    }

    fn hints(&self) -> Vec<String> {
        vec![match self.stage {
            Stage::Only => format!(
                "set {} to a kubeconfig file, and {} to one of its contexts",
                Kubeconfig::FILE,
                Kubeconfig::CONTEXT
            ),
            stage => format!(
                "set `cluster.{stage}.kubeconfig` or `cluster.kubeconfig` in the configuration file"
            ),
        }]
    }
}
