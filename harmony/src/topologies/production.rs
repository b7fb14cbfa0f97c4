//! Staging and production, by configuration.

use futures_util::future::{join_all, join4};
use harmony_core::capability::Stages;
use harmony_core::capability::clusters::{Clusters, ClustersError};
use harmony_core::chart::Stage;
use harmony_core::delegation::*;
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_kubernetes::delivery::{
    ArgoDelivery, ArgoSettings, DirectDelivery, FluxDelivery, FluxSettings,
};
use harmony_types::KubeContext;

use super::LazyCluster;
use super::checkup;
use super::configured_builder::ConfiguredBuilder;
use super::named_registry::NamedRegistry;
use super::no_cluster;
use super::planned::Planned;
use crate::configuration::{
    BuilderChoice, ClusterChoices, Configuration, DeliveryChoice, Kubeconfig, RegistryChoice,
};

/// Staging and production: the builder, the registry, the delivery and the clusters of a [`Configuration`]. Each of them is
/// contacted only when it is needed.
///
/// Targets of the stages staging and production go to the clusters that are configured for them. Like
/// [`CiTopology`](super::CiTopology), it accepts only releases: publishing a work tree does not compile.
#[derive(Debug, Clone, Delegate)]
#[delegate(ContainerBuilder, target = "builder")]
#[delegate(OciRegistry, target = "registry")]
#[delegate(PullAccounts, target = "registry")]
#[delegate(DevicePodman, target = "registry")]
#[delegate(HelmRegistry, target = "charts")]
#[delegate(ReleaseRecords, target = "charts")]
#[delegate(KubernetesCluster, target = "cluster")]
#[delegate(Prober, target = "cluster")]
#[delegate(ContinuousDelivery, target = "delivery")]
pub struct ProductionTopology {
    context: Context,
    settings: ProductionSettings,
    builder: ConfiguredBuilder,
    registry: NamedRegistry,
    charts: Planned<NamedRegistry>,
    clusters: StageClusters,
    cluster: LazyCluster,
    delivery: Delivery,
}

/// The settings of a [`ProductionTopology`].
#[derive(Debug, Clone)]
pub struct ProductionSettings {
    /// What builds images.
    pub builder: BuilderChoice,
    /// The registry for images and charts.
    pub registry: RegistryChoice,
    /// How charts get to the clusters.
    pub delivery: DeliveryChoice,
    /// The clusters by stage.
    pub clusters: ClusterChoices,
}

/// The connections to the clusters, which all Scores of a stage share.
#[derive(Debug, Clone)]
struct StageClusters {
    any: LazyCluster,
    staging: LazyCluster,
    production: LazyCluster,
}

/// How charts get to a cluster.
#[derive(Debug, Clone, Delegate)]
#[delegate(ContinuousDelivery)]
enum Delivery {
    Direct(DirectDelivery<LazyCluster, Planned<NamedRegistry>>),
    Argo(ArgoDelivery<LazyCluster, Planned<NamedRegistry>>),
    Flux(FluxDelivery<LazyCluster, Planned<NamedRegistry>>),
}

impl From<Configuration> for ProductionSettings {
    fn from(configuration: Configuration) -> Self {
        let Configuration {
            builder,
            registry,
            delivery,
            clusters,
            ..
        } = configuration;
        Self {
            builder,
            registry,
            delivery,
            clusters,
        }
    }
}

impl ProductionTopology {
    /// Uses these settings. Does not contact anything yet.
    pub fn new(settings: impl Into<ProductionSettings>) -> Self {
        Self::compose(Context::new(), settings.into())
    }

    fn compose(context: Context, settings: ProductionSettings) -> Self {
        let builder = ConfiguredBuilder::new(&context, &settings.builder);
        let registry = NamedRegistry::new(&context, Ok(settings.registry.clone()));
        let charts = Planned::new(context.clone(), registry.clone());
        let clusters = StageClusters::new(&context, &settings.clusters);
        let cluster = clusters.any.clone();
        let delivery = Delivery::new(&context, &settings, &cluster, &charts, &registry);
        Self {
            context,
            settings,
            builder,
            registry,
            charts,
            clusters,
            cluster,
            delivery,
        }
    }

    /// The same topology with another cluster. Everything else is shared, so that a plan sees what it would publish.
    fn with_cluster(&self, cluster: LazyCluster) -> Self {
        let delivery = Delivery::new(
            &self.context,
            &self.settings,
            &cluster,
            &self.charts,
            &self.registry,
        );
        Self {
            cluster,
            delivery,
            ..self.clone()
        }
    }
}

impl ProductionTopology {
    /// The controllers in the clusters of the stages that have targets.
    async fn examine_deliveries(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let examined = checkup::stages(targets)
            .into_iter()
            .map(|stage| async move {
                let at_stage = self.with_cluster(self.clusters.of(stage).clone());
                let found = match &at_stage.delivery {
                    Delivery::Direct(_) => Vec::new(),
                    Delivery::Argo(delivery) => delivery.examine(targets).await,
                    Delivery::Flux(delivery) => delivery.examine(targets).await,
                };
                let named = |finding: Finding| match stage {
                    Stage::Only => finding,
                    stage => {
                        let part = format!("{} for {stage}", finding.part);
                        finding.about(part)
                    }
                };
                found.into_iter().map(named).collect::<Vec<_>>()
            });
        join_all(examined).await.concat()
    }
}

impl StageClusters {
    fn new(context: &Context, choices: &ClusterChoices) -> Self {
        let lazy = |stage: Stage| {
            let kubeconfig = choices.of(stage).cloned();
            LazyCluster::new(no_cluster::connect(context.clone(), kubeconfig, stage))
        };
        Self {
            any: lazy(Stage::Only),
            staging: lazy(Stage::Staging),
            production: lazy(Stage::Production),
        }
    }

    fn of(&self, stage: Stage) -> &LazyCluster {
        match stage {
            Stage::Only => &self.any,
            Stage::Staging => &self.staging,
            Stage::Production => &self.production,
        }
    }
}

impl Delivery {
    fn new(
        context: &Context,
        settings: &ProductionSettings,
        cluster: &LazyCluster,
        charts: &Planned<NamedRegistry>,
        registry: &NamedRegistry,
    ) -> Self {
        let location = registry.registry_url().clone();
        let (context, cluster, charts) = (context.clone(), cluster.clone(), charts.clone());
        match &settings.delivery {
            DeliveryChoice::Direct => {
                Self::Direct(DirectDelivery::new(context, cluster, charts, location))
            }
            DeliveryChoice::ArgoCd { namespace } => {
                let argo = ArgoSettings {
                    namespace: namespace.clone(),
                    login: settings.registry.settings.login().map(Into::into),
                    ..ArgoSettings::default()
                };
                Self::Argo(ArgoDelivery::new(context, cluster, charts, location, argo))
            }
            DeliveryChoice::Flux {
                namespace,
                controller,
                shard,
            } => {
                let registry = &settings.registry.settings;
                let flux = FluxSettings {
                    namespace: namespace.clone(),
                    controller: *controller,
                    shard: shard.clone(),
                    login: registry.login().map(Into::into),
                    authority: registry.authorities(),
                };
                Self::Flux(FluxDelivery::new(context, cluster, charts, location, flux))
            }
        }
    }
}

#[async_trait]
impl Topology for ProductionTopology {
    fn name(&self) -> &'static str {
        "production"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        Self::compose(self.context.planning(), self.settings)
    }

    /// Ensures the project of a Harbor registry. Everything else is contacted by the operation that needs it.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        let ensured = self.registry.ensure_project().await;
        ensured.map_err(|error| InterpretError::new("registry", error))
    }
}

#[async_trait]
impl Checkup for ProductionTopology {
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let (builder, registry, clusters, deliveries) = join4(
            self.builder.examine(targets),
            self.registry.examine(targets),
            checkup::clusters(|stage| self.clusters.of(stage), targets),
            self.examine_deliveries(targets),
        )
        .await;
        [builder, registry, clusters, deliveries].concat()
    }
}

impl Stages for ProductionTopology {
    fn at_stage(&self, stage: Stage) -> Option<Self> {
        Some(self.with_cluster(self.clusters.of(stage).clone()))
    }
}

impl Clusters for ProductionTopology {
    /// A context of the kubeconfig for targets without a stage.
    fn on_cluster(&self, cluster: &KubeContext) -> Result<Self, ClustersError> {
        let configured = self.settings.clusters.any.as_ref();
        let kubeconfig = Kubeconfig::on_cluster(configured, cluster)?;
        let connect = no_cluster::connect(self.context.clone(), Some(kubeconfig), Stage::Only);
        Ok(self.with_cluster(LazyCluster::new(connect)))
    }
}
