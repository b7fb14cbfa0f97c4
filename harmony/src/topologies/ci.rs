//! A CI job: builds on its own machine, publishes to a registry, and delivers directly.

use harmony_core::capability::clusters::{Clusters, ClustersError};
use harmony_core::codes;
use harmony_core::delegation::*;
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic, FailureKind, Origin};
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_kubernetes::Cluster;
use harmony_kubernetes::delivery::DirectDelivery;
use harmony_registry::RegistrySettings;
use harmony_types::KubeContext;

use super::kubeconfig::Kubeconfig;
use super::named_registry::NamedRegistry;
use super::planned::Planned;
use super::registry_env::{self, RegistryEnvError};
use super::{HostBuilder, LazyCluster};

/// The topology of a CI job: its own compilers, a registry and, for deploys, a cluster. Each of them is contacted only
/// when it is needed.
///
/// Accepts only releases. Other users of the registry expect that each version in it is a commit, so publishing a work
/// tree does not compile.
///
/// | variable | description |
/// | --- | --- |
/// | `HARMONY_REGISTRY` | the registry with an optional path: `registry.example.com/team` |
/// | `HARMONY_REGISTRY_USER`, `HARMONY_REGISTRY_PASSWORD` | the login; by default, the login of `docker login` |
/// | `HARMONY_REGISTRY_CA` | a PEM file of certificate authorities to trust in addition to those of the machine |
/// | `HARMONY_KUBECONFIG`, `HARMONY_KUBE_CONTEXT` | the cluster; needed only for deploys |
#[derive(Debug, Delegate)]
#[delegate(ContainerBuilder, target = "builder")]
#[delegate(OciRegistry, target = "registry")]
#[delegate(HelmRegistry, target = "charts")]
#[delegate(ReleaseRecords, target = "charts")]
#[delegate(KubernetesCluster, target = "cluster")]
#[delegate(Prober, target = "cluster")]
#[delegate(ContinuousDelivery, target = "delivery")]
pub struct CiTopology {
    context: Context,
    settings: CiSettings,
    builder: HostBuilder,
    registry: NamedRegistry,
    charts: Planned<NamedRegistry>,
    cluster: LazyCluster,
    delivery: DirectDelivery<LazyCluster, Planned<NamedRegistry>>,
}

impl CiTopology {
    /// Reads the environment variables in the table above. Does not contact anything yet.
    pub fn from_env() -> Self {
        Self::new(CiSettings {
            location: registry_env::location(),
            registry: RegistrySettings::from_env(),
            kubeconfig: Kubeconfig::from_env(),
        })
    }

    /// Uses these settings. Does not contact anything yet.
    pub fn new(settings: CiSettings) -> Self {
        Self::compose(Context::new(), settings)
    }

    fn compose(context: Context, settings: CiSettings) -> Self {
        let (location, login) = (settings.location.clone(), settings.registry.clone());
        let registry = NamedRegistry::new(&context, location, login);
        let charts = Planned::new(context.clone(), registry.clone());
        let cluster = LazyCluster::new(connect(context.clone(), settings.kubeconfig.clone()));
        let location = registry.registry_url().clone();
        let delivery =
            DirectDelivery::new(context.clone(), cluster.clone(), charts.clone(), location);
        let builder = HostBuilder::new(&context);
        Self {
            context,
            settings,
            builder,
            registry,
            charts,
            cluster,
            delivery,
        }
    }
}

/// The settings of a [`CiTopology`].
#[derive(Debug, Clone)]
pub struct CiSettings {
    /// The location for images and charts, or the reason why the environment does not define one.
    pub location: Result<RegistryLocation, RegistryEnvError>,
    /// The settings for the registry.
    pub registry: RegistrySettings,
    /// The cluster; `None` for a job that only releases.
    pub kubeconfig: Option<Kubeconfig>,
}

async fn connect(
    context: Context,
    kubeconfig: Option<Kubeconfig>,
) -> Result<Cluster, AnyDiagnostic> {
    let kubeconfig = kubeconfig.ok_or_else(|| AnyDiagnostic::new(NoCluster))?;
    kubeconfig.connect(&context).await
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
        Self::compose(self.context.planning(), self.settings)
    }

    /// Does nothing. If something is missing, the operation that needs it fails.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

impl Clusters for CiTopology {
    fn on_cluster(&self, cluster: &KubeContext) -> Result<Self, ClustersError> {
        let kubeconfig = Kubeconfig::on_cluster(self.settings.kubeconfig.as_ref(), cluster)?;
        let settings = CiSettings {
            kubeconfig: Some(kubeconfig),
            ..self.settings.clone()
        };
        Ok(Self::compose(self.context.clone(), settings))
    }
}

/// A deploy without a cluster.
#[derive(Debug, thiserror::Error)]
#[error("no cluster is configured")]
struct NoCluster;

impl Diagnostic for NoCluster {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_CLUSTER)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        Some(format!("environment variable {}", Kubeconfig::FILE))
    }

    fn hints(&self) -> Vec<String> {
        vec![format!(
            "set {} to a kubeconfig file, and {} to one of its contexts",
            Kubeconfig::FILE,
            Kubeconfig::CONTEXT
        )]
    }
}
