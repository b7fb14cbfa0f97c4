//! A laptop, or any Kubernetes that a kubeconfig names.

use std::os::unix::net::UnixStream;
use std::path::Path;

use harmony_core::delegation::*;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::{Context, InterpretError, Outcome, Topology};
use harmony_kubernetes::Cluster;
use harmony_kubernetes::delivery::DirectDelivery;
use harmony_local::LocalCluster;
use harmony_local::k3d::K3d;
use harmony_local::node::LocalNode;

use super::named_registry::NamedRegistry;
use super::planned::Planned;
use super::{ChartStore, HostBuilder, LazyCluster, NodeImages};
use crate::dirs;

/// Kubernetes wherever it is: a cluster that a kubeconfig names, else one on this machine, which it brings up.
///
/// Never the ambient kubeconfig: what a person's `kubectl` points at by chance is not deployed to.
#[derive(Debug, Delegate)]
#[delegate(ContainerBuilder, target = "builder")]
#[delegate(OciRegistry, target = "images")]
#[delegate(HelmRegistry, target = "charts")]
#[delegate(ReleaseRecords, target = "charts")]
#[delegate(WorkTrees, target = "images")]
#[delegate(KubernetesCluster, target = "cluster")]
#[delegate(Prober, target = "cluster")]
#[delegate(ContinuousDelivery, target = "delivery")]
pub struct K8sAnywhereTopology {
    context: Context,
    choice: ClusterChoice,
    builder: HostBuilder,
    images: Images,
    charts: Planned<Charts>,
    cluster: LazyCluster,
    delivery: DirectDelivery<LazyCluster, Planned<Charts>>,
}

/// Which cluster.
#[derive(Debug, Clone)]
pub enum ClusterChoice {
    /// One on this machine. Images go into its nodes.
    Local(LocalCluster),
    /// The cluster that a kubeconfig names. Images go to the registry that the environment names.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context in it; `None` for its current one.
        context: Option<String>,
    },
}

/// Where images go.
#[derive(Debug, Delegate)]
#[delegate(OciRegistry)]
enum Images {
    Node(NodeImages),
    Registry(NamedRegistry),
}

impl WorkTrees for Images {
    fn work_trees(&self) -> &RegistryLocation {
        self.registry_url()
    }
}

/// Where charts and release records are: beside the images.
#[derive(Debug, Clone, Delegate)]
#[delegate(HelmRegistry)]
#[delegate(ReleaseRecords)]
enum Charts {
    Folder(ChartStore),
    Registry(NamedRegistry),
}

impl ClusterChoice {
    /// The variable that names a kubeconfig.
    pub const KUBECONFIG: &str = "HARMONY_KUBECONFIG";
    /// The variable that names a context of it.
    pub const KUBE_CONTEXT: &str = "HARMONY_KUBE_CONTEXT";

    /// The cluster of `HARMONY_KUBECONFIG` when that is set; else k3d, where it is installed and a Docker engine
    /// listens; else the local node.
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match set(Self::KUBECONFIG) {
            Some(path) => Self::Kubeconfig {
                path: path.into(),
                context: set(Self::KUBE_CONTEXT)
                    .map(|context| context.to_string_lossy().into_owned()),
            },
            None if docker_listens() && on_path("k3d") => {
                Self::Local(LocalCluster::K3d(K3d::default()))
            }
            None => Self::Local(LocalCluster::Node(LocalNode::default())),
        }
    }
}

impl K8sAnywhereTopology {
    /// With the cluster that [`ClusterChoice::from_env`] finds.
    pub fn from_env() -> Self {
        Self::new(ClusterChoice::from_env())
    }

    /// With that cluster. Nothing is started or asked yet; a registry is asked for once something is pushed or pulled.
    pub fn new(choice: ClusterChoice) -> Self {
        Self::compose(Context::new(), choice)
    }

    /// What a person types so that `kubectl` finds the cluster.
    fn kubectl_hint(&self) -> String {
        match &self.choice {
            ClusterChoice::Local(cluster) => cluster.kubectl_hint(),
            ClusterChoice::Kubeconfig { path, .. } => {
                format!("export KUBECONFIG={}", path.display())
            }
        }
    }

    /// True when the addresses of Services are reached from this machine.
    pub fn is_on_this_machine(&self) -> bool {
        matches!(&self.choice, ClusterChoice::Local(cluster) if cluster.serves_this_machine())
    }

    fn compose(context: Context, choice: ClusterChoice) -> Self {
        let cluster = LazyCluster::new(prepare(context.clone(), choice.clone()));
        let node_images =
            |store| Images::Node(NodeImages::new(context.clone(), store, cluster.clone()));
        let folder = || {
            let folder = dirs::cache().join("charts");
            Charts::Folder(ChartStore::new(context.clone(), folder))
        };
        let (images, charts) = match &choice {
            ClusterChoice::Local(local) => (node_images(local.clone()), folder()),
            ClusterChoice::Kubeconfig { .. } => {
                let registry = NamedRegistry::from_env(&context);
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
            builder,
            images,
            charts,
            cluster,
            delivery,
        }
    }
}

/// Brings the cluster about and connects to it.
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
            connect(&context, &kubeconfig, None).await
        }
        ClusterChoice::Kubeconfig {
            path,
            context: named,
        } => connect(&context, &path, named.as_deref()).await,
    }
}

async fn connect(
    context: &Context,
    kubeconfig: &Path,
    named: Option<&str>,
) -> Result<Cluster, AnyDiagnostic> {
    Cluster::connect(context, kubeconfig, named)
        .await
        .map_err(AnyDiagnostic::new)
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
        Self::compose(self.context.planning(), self.choice)
    }

    /// Refuses at once what could never come up (not root, a port that is taken), then brings the cluster up in the
    /// background: images are built meanwhile, and whoever needs the cluster waits for it.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        let outcome = match &self.choice {
            ClusterChoice::Local(local) => local
                .preflight(&self.context)
                .await
                .map_err(|error| InterpretError::new(local.title(), error))?,
            ClusterChoice::Kubeconfig { .. } => {
                self.cluster
                    .cluster()
                    .await
                    .map_err(|error| InterpretError::new("cluster", error))?;
                Outcome::unchanged()
            }
        };
        self.cluster.begin();
        Ok(outcome.with_note(format!("cluster: {}", self.kubectl_hint())))
    }
}

/// Whether something accepts connections where a Docker engine listens by default, or where `DOCKER_HOST` says.
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
