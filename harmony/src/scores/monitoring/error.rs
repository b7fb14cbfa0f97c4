//! Errors of a deploy before its checks.

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::kubernetes::ObjectError;
use harmony_types::{Namespace, ResourceName};

use super::receiver::SecretKey;

/// The reason why monitoring was not deployed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum MonitoringError {
    /// The Score contradicts itself.
    #[error("the monitoring `{name}` is not described correctly")]
    Description {
        /// The name of the Score.
        name: ResourceName,
        /// Everything that is wrong.
        faults: Vec<String>,
    },
    /// `promtool` does not accept the rules.
    #[error("`promtool` does not accept the rules of `{name}`")]
    Rules {
        /// The name of the Score.
        name: ResourceName,
        /// Its output.
        output: Vec<String>,
    },
    /// A Secret that a receiver refers to does not exist.
    #[error(
        "the receiver `{receiver}` needs the {key} in namespace `{namespace}`, which does not exist or is empty"
    )]
    Secret {
        /// The receiver.
        receiver: ResourceName,
        /// The namespace.
        namespace: Namespace,
        /// The Secret.
        key: SecretKey,
    },
    /// This Score has to run Prometheus and has no images.
    #[error(
        "the cluster has no prometheus-operator, and the monitoring `{name}` has no images to run Prometheus itself"
    )]
    NoImages {
        /// The name of the Score.
        name: ResourceName,
    },
    /// The cluster has no Prometheus of prometheus-operator that would use the resources.
    #[error("no Prometheus of prometheus-operator reads the resources of namespace `{namespace}`")]
    NoOperator {
        /// The namespace.
        namespace: Namespace,
        /// Why each of them does not.
        seen: Vec<String>,
    },
    /// The cluster failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An object is not valid.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Diagnostic for MonitoringError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Description { .. } | Self::Rules { .. } => Origin::Own(codes::MONITORING_SETTING),
            Self::Secret { .. } => Origin::Own(codes::MONITORING_SECRET),
            Self::NoImages { .. } | Self::NoOperator { .. } => {
                Origin::Own(codes::MONITORING_PROVIDER)
            }
            Self::Cluster(error) => Origin::Inner(error),
            Self::Object(error) => Origin::Inner(error),
        }
    }

    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Refused, Diagnostic::kind)
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Description { faults, .. } => faults.clone(),
            Self::Rules { output, .. } => output.clone(),
            Self::NoOperator { seen, .. } => seen.clone(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Description { .. } => vec!["fix the description of the Score".into()],
            Self::Rules { .. } => vec!["fix the PromQL expressions of the Score".into()],
            Self::Secret { namespace, key, .. } => vec![format!(
                "create it: `kubectl -n {namespace} create secret generic {} --from-literal={}=...`",
                key.secret, key.key
            )],
            Self::NoImages { .. } => vec![
                "set `images` to images of Prometheus and Alertmanager in a registry".into(),
                "or bundle them with the app, as `App::monitored` does".into(),
                "or install prometheus-operator in the cluster".into(),
            ],
            Self::NoOperator { .. } => vec![
                "let a Prometheus and an Alertmanager of the cluster select this namespace".into(),
                "or let the Score run its own: set `provider` to `ProviderChoice::Plain`".into(),
            ],
            Self::Cluster(_) | Self::Object(_) => Vec::new(),
        }
    }
}
