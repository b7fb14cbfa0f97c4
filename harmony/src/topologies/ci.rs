//! A CI job: builds on its own machine, publishes to a registry, delivers directly.

use harmony_core::codes;
use harmony_core::delegation::*;
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic, FailureKind, Origin};
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_kubernetes::Cluster;
use harmony_kubernetes::delivery::DirectDelivery;
use harmony_registry::RegistrySettings;

use super::k8s_anywhere::ClusterChoice;
use super::named_registry::NamedRegistry;
use super::planned::Planned;
use super::registry_env::{self, RegistryEnvError};
use super::{HostBuilder, LazyCluster};

/// What a CI job has: its own compilers, a registry and, when it deploys, a cluster. Each is asked for once it is needed.
///
/// It takes releases only. Others trust that each version in its registry is a commit, so publishing a work tree to it
/// does not compile.
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
    /// What the environment names; see the table above. Nothing is asked yet.
    pub fn from_env() -> Self {
        let kubeconfig = match ClusterChoice::from_env() {
            ClusterChoice::Kubeconfig { path, context } => Some(Kubeconfig { path, context }),
            ClusterChoice::Local(_) => None,
        };
        Self::new(CiSettings {
            location: registry_env::location(),
            registry: RegistrySettings::from_env(),
            kubeconfig,
        })
    }

    /// With these settings. Nothing is asked yet.
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

/// What a [`CiTopology`] is made of.
#[derive(Debug, Clone)]
pub struct CiSettings {
    /// Where images and charts go, or why the environment names no such place.
    pub location: Result<RegistryLocation, RegistryEnvError>,
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
        Self::compose(self.context.planning(), self.settings)
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
