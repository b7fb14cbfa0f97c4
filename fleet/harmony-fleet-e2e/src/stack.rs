//! The fleet in a separate namespace, deployed once for each test binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::core::capability::KubernetesCluster;
use harmony::core::composite;
use harmony::core::diagnostic::Report;
use harmony::core::kubernetes::{ObjectQuery, ObjectRef};
use harmony::local::node::LocalNode;
use harmony::release::WorkTree;
use harmony::types::Namespace;
use harmony::{Inventory, K8sAnywhereTopology, Outcome, Score, Topology};
use harmony_fleet_adapters_nats::FleetContext;
use harmony_fleet_deploy::{FleetServerScore, FleetToolsScore, apps};
use tokio::sync::OnceCell;

use crate::checkout::Checkout;

/// The prefix of test namespaces.
pub const PREFIX: &str = "e2e-";

#[derive(Debug)]
pub struct FleetStack {
    /// Where it runs.
    pub namespace: Namespace,
    pub score: FleetServerScore<WorkTree>,
    pub tools: FleetContext,
}

static STACK: OnceCell<FleetStack> = OnceCell::const_new();

/// The fleet that all tests of this binary share. The first caller deploys it. Namespaces of earlier runs are deleted
/// first, because there is no hook after the last test of a binary.
///
/// # Errors
/// The deploy failed; the next caller tries again.
pub async fn shared_stack() -> anyhow::Result<&'static FleetStack> {
    STACK.get_or_try_init(bring_up).await
}

/// The topology of the tests, which is that of a laptop. Each test has its own, because its tasks run in the test's
/// runtime.
///
/// # Errors
/// The local node did not start.
pub async fn topology() -> anyhow::Result<K8sAnywhereTopology> {
    harmony::install_crypto();
    let topology = K8sAnywhereTopology::from_env();
    topology.ensure_ready().await.map_err(readable)?;
    Ok(topology)
}

async fn bring_up() -> anyhow::Result<FleetStack> {
    let topology = topology().await?;
    prune(&topology).await?;
    let namespace = new_namespace()?;
    let checkout = Checkout::take().await?;
    let score = local(namespace.clone(), &checkout);
    score
        .interpret(&Inventory::autoload(), &topology)
        .await
        .map_err(readable)?;
    let tools = tools(&topology, &score).await?;
    Ok(FleetStack {
        namespace,
        score,
        tools,
    })
}

/// The platform as a laptop deploys it from its work tree, built from the checkout of the tests.
pub fn local(namespace: Namespace, checkout: &Checkout) -> FleetServerScore<WorkTree> {
    let build = |app| Arc::new(apps::in_checkout(app, checkout.root()));
    FleetServerScore {
        operator: build(apps::operator()),
        agent: build(apps::agent()),
        ..FleetServerScore::local(namespace)
    }
}

/// Deletes the namespaces of processes that have ended, and the rights of controllers in them.
async fn prune(topology: &K8sAnywhereTopology) -> anyhow::Result<()> {
    for namespace in left_behind(topology, "v1", "Namespace").await? {
        discard(&namespace.name.as_str().parse()?)?;
    }
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        for object in left_behind(topology, "rbac.authorization.k8s.io/v1", kind).await? {
            topology.delete(&object).await?;
        }
    }
    Ok(())
}

/// The objects of the cluster that are named after the namespace of a process that has ended.
async fn left_behind(
    topology: &K8sAnywhereTopology,
    api_version: &str,
    kind: &str,
) -> anyhow::Result<Vec<ObjectRef>> {
    let all = ObjectQuery {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: None,
        labels: BTreeMap::new(),
    };
    let mut found = topology.list(&all).await?;
    found.retain(|object| {
        let rest = object.name.as_str().strip_prefix(PREFIX);
        let process = rest.and_then(|rest| rest.split('-').next());
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    });
    Ok(found)
}

/// A unique namespace, with the id of this process in its name.
///
/// # Errors
/// None; names of this form are valid.
pub fn new_namespace() -> anyhow::Result<Namespace> {
    let process = std::process::id();
    Ok(format!("{PREFIX}{process}-{:08x}", rand::random::<u32>()).parse()?)
}

/// The reference to an object; without a namespace for one of the cluster.
///
/// # Errors
/// The name is not valid.
pub fn object(
    api_version: &str,
    kind: &str,
    namespace: Option<&Namespace>,
    name: &str,
) -> anyhow::Result<ObjectRef> {
    Ok(ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: namespace.cloned(),
        name: name.parse()?,
    })
}

/// The object of a namespace.
///
/// # Errors
/// None for a valid namespace.
pub fn namespace_object(namespace: &Namespace) -> anyhow::Result<ObjectRef> {
    object("v1", "Namespace", None, namespace.as_str())
}

/// Begins to delete a namespace at the end of a test. Programs that ignore SIGTERM take half a minute to end, and nobody
/// needs to wait for them.
///
/// # Errors
/// `kubectl` failed.
pub fn discard(namespace: &Namespace) -> anyhow::Result<()> {
    let kubectl = LocalNode::default().kubectl();
    let mut kubectl = kubectl.context("the local node has a kubectl")?;
    kubectl.args(["delete", "--wait=false", "namespace", namespace.as_str()]);
    let output = kubectl.output()?;
    anyhow::ensure!(output.status.success(), "{kubectl:?}: {output:?}");
    Ok(())
}

/// The image of the first container of a Deployment, as the cluster has it.
///
/// # Errors
/// The Deployment does not exist.
pub async fn image_of(deployment: &str, namespace: &Namespace) -> anyhow::Result<String> {
    let reference = object("apps/v1", "Deployment", Some(namespace), deployment)?;
    let found = topology().await?.get(&reference).await?;
    let found = found.with_context(|| format!("{reference} exists"))?;
    let image = found
        .body()
        .pointer("/spec/template/spec/containers/0/image");
    let image = image.and_then(|image| image.as_str());
    Ok(image.context("a container has an image")?.to_owned())
}

/// What a tool needs to reach the fleet.
///
/// # Errors
/// The fleet is not deployed.
pub async fn tools(
    topology: &K8sAnywhereTopology,
    score: &FleetServerScore<WorkTree>,
) -> anyhow::Result<FleetContext> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("context.json");
    let tools = FleetToolsScore {
        namespace: score.namespace.clone(),
        tenant: score.tenant.clone(),
        path: path.clone(),
        example: None,
    };
    tools
        .interpret(&Inventory::autoload(), topology)
        .await
        .map_err(readable)?;
    FleetContext::load(&path)?.context("the tools' file was just written")
}

/// Runs the Scores in order, as one pipeline.
///
/// # Errors
/// That of the first Score that fails.
pub async fn in_order<T: Topology + 'static>(
    scores: Vec<Box<dyn Score<T>>>,
    topology: &T,
) -> Result<Outcome, Report> {
    let pipeline = composite::in_order(scores);
    let outcome = pipeline.execute(&Inventory::autoload(), topology).await;
    outcome.map_err(|error| error.report())
}

/// A complete error for the output of a test.
pub fn readable(error: harmony::InterpretError) -> anyhow::Error {
    anyhow::anyhow!("{error}: {}", error.report())
}

/// Repeats `look` until it returns something, for at most `patience`.
///
/// # Errors
/// The error of `look`, or a timeout.
pub async fn eventually<T>(
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "it did not happen within {} s",
            patience.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
