//! A CI job: builds on its own machine, publishes to a registry, delivers directly.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ambassador::Delegate;
use harmony_core::capability::container_builder::{BuildError, ambassador_impl_ContainerBuilder};
use harmony_core::capability::continuous_delivery::{
    Delivered, DeliveryError, ambassador_impl_ContinuousDelivery,
};
use harmony_core::capability::helm_registry::ambassador_impl_HelmRegistry;
use harmony_core::capability::kubernetes_cluster::{
    ClusterError, ambassador_impl_KubernetesCluster,
};
use harmony_core::capability::oci_registry::{
    Published, RegistryError, RegistryLocation, ambassador_impl_OciRegistry,
};
use harmony_core::capability::prober::{Tunnel, ambassador_impl_Prober};
use harmony_core::capability::{
    ContainerBuilder, ContinuousDelivery, HelmRegistry, KubernetesCluster, OciRegistry, Prober,
};
use harmony_core::chart::{DeployTarget, PackagedChart};
use harmony_core::codes;
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic, FailureKind, Origin};
use harmony_core::image::{BuildContext, Built};
use harmony_core::kubernetes::{KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::Change;
use harmony_core::owner::Owner;
use harmony_core::verify::{ProbeFailure, ServicePort, SmokeCheck};
use harmony_core::{Context, InterpretError, Outcome, Topology, async_trait};
use harmony_kubernetes::Cluster;
use harmony_kubernetes::delivery::DirectDelivery;
use harmony_registry::{OciRegistryClient, RegistrySettings};
use harmony_types::{ChartRef, Digest, ImageRef, Namespace};

use super::k8s_anywhere::ClusterChoice;
use super::registry_env::{self, RegistryEnvError};
use super::{HostBuilder, LazyCluster};

/// What a CI job has: its own compilers, a registry and, when it deploys, a cluster.
///
/// | variable | meaning |
/// | --- | --- |
/// | `HARMONY_REGISTRY` | the registry and the path in it: `registry.example.com/team` |
/// | `HARMONY_REGISTRY_USER`, `HARMONY_REGISTRY_PASSWORD` | its login; else the files of `docker login` |
/// | `HARMONY_REGISTRY_CA` | a PEM file of authorities to trust beside the machine's |
/// | `HARMONY_KUBECONFIG`, `HARMONY_KUBE_CONTEXT` | the cluster; only a deploy needs it |
#[derive(Debug, Delegate)]
#[delegate(ContainerBuilder, target = "builder")]
#[delegate(OciRegistry, target = "registry")]
#[delegate(HelmRegistry, target = "registry")]
#[delegate(KubernetesCluster, target = "cluster")]
#[delegate(Prober, target = "cluster")]
#[delegate(ContinuousDelivery, target = "delivery")]
pub struct CiTopology {
    context: Context,
    settings: CiSettings,
    builder: HostBuilder,
    registry: Arc<OciRegistryClient>,
    cluster: LazyCluster,
    delivery: DirectDelivery<LazyCluster, Arc<OciRegistryClient>>,
}

impl CiTopology {
    /// What the environment names; see the table above. Nothing is asked yet.
    ///
    /// # Errors
    /// No registry is named, or not one that could be.
    pub fn from_env() -> Result<Self, RegistryEnvError> {
        let kubeconfig = match ClusterChoice::from_env() {
            ClusterChoice::Kubeconfig { path, context } => Some(Kubeconfig { path, context }),
            ClusterChoice::LocalNode(_) | ClusterChoice::K3d(_) => None,
        };
        let location = registry_env::location()?;
        Self::new(CiSettings {
            location,
            registry: RegistrySettings::from_env(),
            kubeconfig,
        })
    }

    /// With these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// Settings of the registry that cannot be, such as a user without a password.
    pub fn new(settings: CiSettings) -> Result<Self, RegistryEnvError> {
        Self::compose(Context::new(), settings)
    }

    fn compose(context: Context, settings: CiSettings) -> Result<Self, RegistryEnvError> {
        let registry = OciRegistryClient::new(
            context.clone(),
            settings.location.clone(),
            settings.registry.clone(),
        )
        .map_err(|error| RegistryEnvError::Settings(Box::new(error)))?;
        let registry = Arc::new(registry);
        let cluster = LazyCluster::new(connect(context.clone(), settings.kubeconfig.clone()));
        let location = settings.location.clone();
        let delivery =
            DirectDelivery::new(context.clone(), cluster.clone(), registry.clone(), location);
        let builder = HostBuilder::new(&context);
        Ok(Self {
            context,
            settings,
            builder,
            registry,
            cluster,
            delivery,
        })
    }
}

/// What a [`CiTopology`] is made of.
#[derive(Debug, Clone)]
pub struct CiSettings {
    /// Where images and charts go.
    pub location: RegistryLocation,
    /// How to get in there.
    pub registry: RegistrySettings,
    /// The cluster; `None` for a job that only releases.
    pub kubeconfig: Option<Kubeconfig>,
}

/// A kubeconfig that was named, not found.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// The file.
    pub path: PathBuf,
    /// The context in it; `None` for its current one.
    pub context: Option<String>,
}

async fn connect(
    context: Context,
    kubeconfig: Option<Kubeconfig>,
) -> Result<Cluster, AnyDiagnostic> {
    let Kubeconfig {
        path,
        context: named,
    } = kubeconfig.ok_or_else(|| AnyDiagnostic::new(NoCluster))?;
    Cluster::connect(&context, &path, named.as_deref())
        .await
        .map_err(AnyDiagnostic::new)
}

#[async_trait]
impl Topology for CiTopology {
    fn name(&self) -> &'static str {
        "ci"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        let planning = Self::compose(self.context.planning(), self.settings);
        planning.expect("the same settings were accepted when this topology was made")
    }

    /// Nothing to prepare: a job brings its machine, and what is missing is told by what needs it.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

/// A deploy without a cluster.
#[derive(Debug, thiserror::Error)]
#[error("no cluster is named to deploy to")]
struct NoCluster;

impl Diagnostic for NoCluster {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_CLUSTER)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        Some(format!(
            "environment variable {}",
            ClusterChoice::KUBECONFIG
        ))
    }

    fn hints(&self) -> Vec<String> {
        vec![format!(
            "set {} to a kubeconfig, and {} to a context of it",
            ClusterChoice::KUBECONFIG,
            ClusterChoice::KUBE_CONTEXT
        )]
    }
}
