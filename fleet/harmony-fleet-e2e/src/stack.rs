//! The fleet in a namespace of its own, brought up once for each test binary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::{ObjectQuery, ObjectRef};
use harmony::release::WorkTree;
use harmony::types::Namespace;
use harmony::{Inventory, K8sAnywhereTopology, Score, Topology};
use harmony_fleet_adapters_nats::FleetContext;
use harmony_fleet_deploy::{FleetServerScore, FleetToolsScore, apps};
use tokio::sync::OnceCell;

use crate::checkout::Checkout;

/// What every namespace of a test begins with.
pub const PREFIX: &str = "e2e-";

/// A running fleet.
#[derive(Debug)]
pub struct FleetStack {
    /// Where it runs.
    pub namespace: Namespace,
    /// The Score that deployed it.
    pub score: FleetServerScore<WorkTree>,
    /// How tools reach it.
    pub tools: FleetContext,
}

static STACK: OnceCell<FleetStack> = OnceCell::const_new();

/// The fleet that all tests of this binary share. The first caller brings it up; namespaces that earlier runs left
/// behind are removed first, because nobody is called when the last test of a binary ends.
///
/// # Errors
/// The stack did not come up; the next caller tries again.
pub async fn shared_stack() -> anyhow::Result<&'static FleetStack> {
    STACK.get_or_try_init(bring_up).await
}

/// The topology of the tests: the same as a laptop's. One for each test, because its tasks live in the test's runtime.
///
/// # Errors
/// The local node does not come up.
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

/// The platform that a laptop deploys of its work tree, built from the checkout of the tests.
pub fn local(namespace: Namespace, checkout: &Checkout) -> FleetServerScore<WorkTree> {
    let build = |app| Arc::new(apps::in_checkout(app, checkout.root()));
    FleetServerScore {
        operator: build(apps::operator()),
        agent: build(apps::agent()),
        ..FleetServerScore::local(namespace)
    }
}

/// Removes what earlier runs left behind.
async fn prune(topology: &K8sAnywhereTopology) -> anyhow::Result<()> {
    let namespaces = ObjectQuery {
        api_version: "v1".into(),
        kind: "Namespace".into(),
        namespace: None,
        labels: BTreeMap::new(),
    };
    for namespace in topology.list(&namespaces).await? {
        if namespace.name.as_str().starts_with(PREFIX) {
            topology.delete(&namespace).await?;
        }
    }
    Ok(())
}

/// A namespace that no other test has.
///
/// # Errors
/// None; names of this form are valid.
pub fn new_namespace() -> anyhow::Result<Namespace> {
    Ok(format!("{PREFIX}{:08x}", rand::random::<u32>()).parse()?)
}

/// The object of a namespace.
///
/// # Errors
/// None for a namespace that was parsed.
pub fn namespace_object(namespace: &Namespace) -> anyhow::Result<ObjectRef> {
    Ok(ObjectRef {
        api_version: "v1".into(),
        kind: "Namespace".into(),
        namespace: None,
        name: namespace.as_str().parse()?,
    })
}

async fn tools(
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

/// The whole of an error on one page, for a test's output.
pub fn readable(error: harmony::InterpretError) -> anyhow::Error {
    let report = error.report();
    let mut text = format!("{error}: {}: {}", report.code, report.message);
    for line in report
        .causes
        .iter()
        .chain(&report.evidence)
        .chain(&report.hints)
    {
        text.push_str("\n  ");
        text.push_str(line);
    }
    anyhow::anyhow!(text)
}

/// Looks again until `look` finds something, for at most `patience`.
///
/// # Errors
/// What `look` failed with, or that time ran out.
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
