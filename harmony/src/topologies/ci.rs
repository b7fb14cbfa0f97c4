//! A CI job: builds on its own machine, publishes to a registry, and delivers directly.

use futures_util::future::join3;
use harmony_core::capability::Stages;
use harmony_core::capability::clusters::{Clusters, ClustersError};
use harmony_core::chart::Stage;
use harmony_core::delegation::*;
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_kubernetes::delivery::DirectDelivery;
use harmony_types::KubeContext;

use super::named_registry::NamedRegistry;
use super::no_cluster;
use super::planned::Planned;
use super::registry_env::{self, RegistryEnvError};
use super::{HostBuilder, LazyCluster, checkup};
use crate::configuration::{Configuration, Kubeconfig, RegistryChoice};

/// The topology of a CI job: its own compilers, a registry and, for deploys, a cluster. Each of them is contacted only
/// when it is needed.
///
/// Accepts only releases. Other users of the registry expect that each version in it is a commit, so publishing a work
/// tree does not compile.
///
/// The registry is that of the [`Configuration`]; the cluster, which only deploys need, is in `HARMONY_KUBECONFIG` and
/// `HARMONY_KUBE_CONTEXT`.
#[derive(Debug, Delegate)]
#[delegate(ContainerBuilder, target = "builder")]
#[delegate(OciRegistry, target = "registry")]
#[delegate(PullAccounts, target = "registry")]
#[delegate(DevicePodman, target = "registry")]
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
    /// Reads the configuration and the environment of this process. Does not contact anything yet.
    pub fn from_env() -> Self {
        Self::new(CiSettings {
            registry: registry_env::configured(),
            kubeconfig: Kubeconfig::from_env(),
        })
    }

    /// Uses the registry of a configuration, and the cluster in the environment. Does not contact anything yet.
    pub fn configured(configuration: &Configuration) -> Self {
        Self::new(CiSettings {
            registry: Ok(configuration.registry.clone()),
            kubeconfig: Kubeconfig::from_env(),
        })
    }

    /// Uses these settings. Does not contact anything yet.
    pub fn new(settings: CiSettings) -> Self {
        Self::compose(Context::new(), settings)
    }

    fn compose(context: Context, settings: CiSettings) -> Self {
        let registry = NamedRegistry::new(&context, settings.registry.clone());
        let charts = Planned::new(context.clone(), registry.clone());
        let cluster = LazyCluster::new(no_cluster::connect(
            context.clone(),
            settings.kubeconfig.clone(),
            Stage::Only,
        ));
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
    /// The registry for images and charts, or the reason why the environment does not define one.
    pub registry: Result<RegistryChoice, RegistryEnvError>,
    /// The cluster; `None` for a job that only releases.
    pub kubeconfig: Option<Kubeconfig>,
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

    /// Ensures the project of a Harbor registry, and nothing else. If something is missing, the operation that needs it
    /// fails.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        let ensured = self.registry.ensure_project().await;
        ensured.map_err(|error| InterpretError::new("registry", error))
    }
}

/// One cluster for all stages.
impl Stages for CiTopology {}

#[async_trait]
impl Checkup for CiTopology {
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let cluster = async {
            if self.settings.kubeconfig.is_some() {
                return checkup::cluster(&self.cluster, Stage::Only, targets).await;
            }
            let reason = "HARMONY_KUBECONFIG is not set; needed only for deploys";
            vec![Finding::skipped("cluster", "answers", reason)]
        };
        let builder = self.builder.examine(targets);
        let registry = self.registry.examine(targets);
        let (builder, registry, cluster) = join3(builder, registry, cluster).await;
        [builder, registry, cluster].concat()
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
