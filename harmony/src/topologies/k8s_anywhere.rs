//! A laptop, or the cluster of a kubeconfig.

use std::os::unix::net::UnixStream;

use futures_util::future::join3;
use harmony_core::capability::Stages;
use harmony_core::capability::clusters::{Clusters, ClustersError};
use harmony_core::chart::Stage;
use harmony_core::delegation::*;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_kubernetes::Cluster;
use harmony_kubernetes::delivery::DirectDelivery;
use harmony_local::k3d::K3d;
use harmony_local::node::LocalNode;
use harmony_local::{LocalCluster, LocalClusterError};
use harmony_types::KubeContext;

use super::named_registry::NamedRegistry;
use super::planned::Planned;
use super::registry_env::{self, RegistryEnvError};
use super::{ChartStore, HostBuilder, LazyCluster, NodeImages, checkup};
use crate::configuration::{Configuration, Kubeconfig, RegistryChoice};
use crate::dirs;

/// Any Kubernetes cluster: that of a kubeconfig, or one on this machine, which is started if necessary.
///
/// The current kubectl context is never used, so that nothing is deployed to a cluster by accident.
#[derive(Debug, Delegate)]
#[delegate(ContainerBuilder, target = "builder")]
#[delegate(OciRegistry, target = "images")]
#[delegate(PullAccounts, target = "images")]
#[delegate(DevicePodman, target = "images")]
#[delegate(HelmRegistry, target = "charts")]
#[delegate(ReleaseRecords, target = "charts")]
#[delegate(WorkTrees, target = "images")]
#[delegate(KubernetesCluster, target = "cluster")]
#[delegate(Prober, target = "cluster")]
#[delegate(ContinuousDelivery, target = "delivery")]
pub struct K8sAnywhereTopology {
    context: Context,
    choice: ClusterChoice,
    registry: Result<RegistryChoice, RegistryEnvError>,
    builder: HostBuilder,
    images: Images,
    charts: Planned<Charts>,
    cluster: LazyCluster,
    delivery: DirectDelivery<LazyCluster, Planned<Charts>>,
}

/// The cluster to use.
#[derive(Debug, Clone)]
pub enum ClusterChoice {
    /// A cluster on this machine. Images are imported into its nodes.
    Local(LocalCluster),
    /// The cluster of a kubeconfig. Images are pushed to the configured registry.
    Kubeconfig(Kubeconfig),
}

/// The destination of images.
#[derive(Debug, Delegate)]
#[delegate(OciRegistry)]
#[delegate(PullAccounts)]
#[delegate(DevicePodman)]
enum Images {
    Node(NodeImages),
    Registry(NamedRegistry),
}

impl Images {
    async fn ensure_project(&self) -> Result<Outcome, InterpretError> {
        let ensured = match self {
            Self::Node(_) => Ok(Outcome::unchanged()),
            Self::Registry(registry) => registry.ensure_project().await,
        };
        ensured.map_err(|error| InterpretError::new("registry", error))
    }
}

impl WorkTrees for Images {
    fn work_trees(&self) -> &RegistryLocation {
        self.registry_url()
    }
}

/// The location of charts and release records: the same as that of the images.
#[derive(Debug, Clone, Delegate)]
#[delegate(HelmRegistry)]
#[delegate(ReleaseRecords)]
enum Charts {
    Folder(ChartStore),
    Registry(NamedRegistry),
}

impl ClusterChoice {
    /// The cluster in `HARMONY_KUBECONFIG` if it is set; otherwise k3d if it is installed and Docker is running;
    /// otherwise the local node.
    pub fn from_env() -> Self {
        match Kubeconfig::from_env() {
            Some(kubeconfig) => Self::Kubeconfig(kubeconfig),
            None if docker_listens() && on_path("k3d") => {
                Self::Local(LocalCluster::K3d(K3d::default()))
            }
            None => Self::Local(LocalCluster::Node(LocalNode::default())),
        }
    }
}

impl K8sAnywhereTopology {
    /// Uses the cluster of [`ClusterChoice::from_env`].
    pub fn from_env() -> Self {
        Self::new(ClusterChoice::from_env())
    }

    /// Uses this cluster, and the registry in the configuration of this process. Does not start or contact anything yet; a
    /// registry is contacted when something is pushed or pulled.
    pub fn new(choice: ClusterChoice) -> Self {
        Self::compose(Context::new(), choice, registry_env::configured())
    }

    /// Uses the cluster of [`ClusterChoice::from_env`] and the registry of `configuration`.
    pub fn configured(configuration: &Configuration) -> Self {
        let registry = Ok(configuration.registry.clone());
        Self::compose(Context::new(), ClusterChoice::from_env(), registry)
    }

    /// The command that makes `kubectl` use the cluster.
    fn kubectl_hint(&self) -> String {
        match &self.choice {
            ClusterChoice::Local(cluster) => cluster.kubectl_hint(),
            ClusterChoice::Kubeconfig(kubeconfig) => {
                format!("export KUBECONFIG={}", kubeconfig.path.display())
            }
        }
    }

    /// Returns true if the addresses of Services can be reached from this machine.
    pub fn is_on_this_machine(&self) -> bool {
        matches!(&self.choice, ClusterChoice::Local(cluster) if cluster.serves_this_machine())
    }

    fn compose(
        context: Context,
        choice: ClusterChoice,
        registry: Result<RegistryChoice, RegistryEnvError>,
    ) -> Self {
        let cluster = LazyCluster::new(prepare(context.clone(), choice.clone()));
        let node_images =
            |store| Images::Node(NodeImages::new(context.clone(), store, cluster.clone()));
        let folder = || {
            let folder = dirs::cache().join("charts");
            Charts::Folder(ChartStore::new(context.clone(), folder))
        };
        let (images, charts) = match &choice {
            ClusterChoice::Local(local) => (node_images(local.clone()), folder()),
            ClusterChoice::Kubeconfig(_) => {
                let registry = NamedRegistry::new(&context, registry.clone());
                let images = Images::Registry(registry.clone());
                (images, Charts::Registry(registry))
            }
        };
        let charts = Planned::new(context.clone(), charts);
        let location = images.registry_url().clone();
        let delivery =
            DirectDelivery::new(context.clone(), cluster.clone(), charts.clone(), location);
        let builder = HostBuilder::new(&context);
        Self {
            context,
            choice,
            registry,
            builder,
            images,
            charts,
            cluster,
            delivery,
        }
    }
}

/// Starts the cluster if necessary, and connects to it.
async fn prepare(context: Context, choice: ClusterChoice) -> Result<Cluster, AnyDiagnostic> {
    match choice {
        ClusterChoice::Local(local) => {
            if context.is_planning() {
                let is_ready = local.is_ready(&context).await;
                if !is_ready.map_err(AnyDiagnostic::new)? {
                    return Ok(Cluster::absent(&context, local.title()));
                }
            } else {
                local.up(&context).await.map_err(AnyDiagnostic::new)?;
            }
            let kubeconfig = local.kubeconfig().await.map_err(AnyDiagnostic::new)?;
            let kubeconfig = Kubeconfig {
                path: kubeconfig,
                context: None,
            };
            kubeconfig.connect(&context).await
        }
        ClusterChoice::Kubeconfig(kubeconfig) => kubeconfig.connect(&context).await,
    }
}

#[async_trait]
impl Topology for K8sAnywhereTopology {
    fn name(&self) -> &'static str {
        "local"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        Self::compose(self.context.planning(), self.choice, self.registry)
    }

    /// Fails immediately if the cluster could not start (no root, a port in use). Otherwise starts it in the
    /// background, so that images are built at the same time and operations that need the cluster wait for it.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        let outcome = match &self.choice {
            ClusterChoice::Local(local) => local
                .preflight(&self.context)
                .await
                .map_err(|error| InterpretError::new(local.title(), error))?,
            ClusterChoice::Kubeconfig(_) => {
                self.cluster
                    .cluster()
                    .await
                    .map_err(|error| InterpretError::new("cluster", error))?;
                self.images.ensure_project().await?
            }
        };
        self.cluster.begin();
        Ok(outcome.with_note(format!("cluster: {}", self.kubectl_hint())))
    }
}

/// One cluster for all stages.
impl Stages for K8sAnywhereTopology {}

#[async_trait]
impl Checkup for K8sAnywhereTopology {
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let (builder, images, cluster) = join3(
            self.builder.examine(targets),
            self.examine_images(targets),
            self.examine_cluster(targets),
        )
        .await;
        [builder, images, cluster].concat()
    }
}

impl K8sAnywhereTopology {
    async fn examine_images(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        match &self.images {
            // The images of a cluster on this machine are imported into it.
            Images::Node(_) => Vec::new(),
            Images::Registry(registry) => registry.examine(targets).await,
        }
    }

    async fn examine_cluster(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let ClusterChoice::Local(local) = &self.choice else {
            return checkup::cluster(&self.cluster, Stage::Only, targets).await;
        };
        let part = local.title();
        let would_start = harmony_core::checkup::check(part, "can run", async {
            let outcome = local.preflight(&self.context).await?;
            Ok::<_, LocalClusterError>(match outcome.is_unchanged() {
                true => "it is running".to_owned(),
                false => "it is not running; the next deploy starts it".to_owned(),
            })
        });
        let would_start = would_start.await;
        let runs = !would_start.is_failed() && local.is_ready(&self.context).await.unwrap_or(false);
        let mut found = vec![would_start];
        if runs {
            found.extend(checkup::cluster(&self.cluster, Stage::Only, targets).await);
        }
        found
    }
}

impl Clusters for K8sAnywhereTopology {
    fn on_cluster(&self, cluster: &KubeContext) -> Result<Self, ClustersError> {
        let configured = match &self.choice {
            ClusterChoice::Kubeconfig(kubeconfig) => Some(kubeconfig),
            ClusterChoice::Local(_) => None,
        };
        let choice = ClusterChoice::Kubeconfig(Kubeconfig::on_cluster(configured, cluster)?);
        let registry = self.registry.clone();
        Ok(Self::compose(self.context.clone(), choice, registry))
    }
}

/// Returns true if something accepts connections at the default address of Docker or at the address in `DOCKER_HOST`.
fn docker_listens() -> bool {
    let named = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = named
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock");
    UnixStream::connect(socket).is_ok()
}

fn on_path(program: &str) -> bool {
    harmony_core::process::find(program).is_some()
}
