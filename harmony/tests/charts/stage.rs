//! A namespace of the local node for one test, and a `charts.lock` of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use harmony::scores::ChartsLock;
use harmony::topologies::{ClusterChoice, K8sAnywhereTopology, Kubeconfig};
use harmony::{Inventory, Score, Topology};
use harmony_core::Context;
use harmony_core::capability::KubernetesCluster;
use harmony_core::diagnostic::Report;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::outcome::{Action, Change};
use harmony_local::node::LocalNode;
use harmony_types::{Digest, Namespace, RegistryHost};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::image;

pub(crate) struct Stage {
    pub(crate) namespace: Namespace,
    topology: K8sAnywhereTopology,
    folder: tempfile::TempDir,
}

/// Runs a test and removes its namespace, whether it passes or not.
pub(crate) async fn on_stage<F: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Arc<Stage>) -> F,
) {
    let stage = Arc::new(Stage::open().await);
    let result = tokio::spawn(test(Arc::clone(&stage))).await;
    let namespace = stage.reference("v1", "Namespace", stage.namespace.as_str());
    // By a run of its own: the test's may have been cancelled.
    let removed = topology().await.delete(&namespace).await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic.into_panic());
    }
    removed.unwrap();
}

async fn topology() -> K8sAnywhereTopology {
    static READY: OnceCell<PathBuf> = OnceCell::const_new();
    let kubeconfig = READY.get_or_init(|| async {
        harmony::install_crypto();
        let node = LocalNode::default();
        node.up(&Context::new()).await.unwrap_or_else(|error| {
            panic!("the tests need the local node, which needs root: {error}")
        });
        node.kubeconfig()
    });
    K8sAnywhereTopology::new(ClusterChoice::Kubeconfig(Kubeconfig {
        path: kubeconfig.await.clone(),
        context: None,
    }))
}

impl Stage {
    async fn open() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "test-charts-{:x}-{:x}-{count}",
            std::process::id(),
            since.as_secs() % 0xff_ffff
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("charts.lock"), "").unwrap();
        Self {
            namespace: name.parse().unwrap(),
            topology: topology().await,
            folder,
        }
    }

    pub(crate) async fn image(&self) -> String {
        image::peer_image().await.to_string()
    }

    /// The lock file as a program has it that was compiled before the first chart was recorded.
    pub(crate) fn lock(&self) -> ChartsLock {
        ChartsLock::new(self.folder.path().join("charts.lock"), "")
    }

    /// The lock file as a program has it that is compiled now, on a machine without a checkout.
    pub(crate) fn compiled_lock(&self) -> ChartsLock {
        ChartsLock::new("/nonexistent/charts.lock", self.lock_text())
    }

    pub(crate) fn lock_text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("charts.lock")).unwrap()
    }

    pub(crate) fn record_pins(&self) {
        self.topology.context().record_pins();
    }

    pub(crate) async fn plan(
        &self,
        score: &impl Score<K8sAnywhereTopology>,
    ) -> Result<Vec<Change>, Report> {
        let planning = topology().await.into_planning();
        let outcome = score.interpret(&Inventory::autoload(), &planning).await;
        outcome
            .map(|outcome| outcome.changes)
            .map_err(|error| error.report())
    }

    async fn run(&self, score: &impl Score<K8sAnywhereTopology>) -> Result<Vec<Change>, Report> {
        let outcome = score
            .interpret(&Inventory::autoload(), &self.topology)
            .await;
        outcome
            .map(|outcome| outcome.changes)
            .map_err(|error| error.report())
    }

    /// The changes as text without the namespace, or the code of the error.
    pub(crate) async fn apply(
        &self,
        score: &impl Score<K8sAnywhereTopology>,
    ) -> Result<Vec<String>, String> {
        let changes = self
            .run(score)
            .await
            .map_err(|report| report.code.to_string())?;
        let shown = changes.iter().map(|change| {
            let note = change.note.as_deref().unwrap_or_default();
            format!("{} {}: {note}", change.action, change.subject)
                .replace(&format!("{}/", self.namespace), "")
        });
        Ok(shown.collect())
    }

    pub(crate) async fn actions(&self, score: &impl Score<K8sAnywhereTopology>) -> Vec<Action> {
        let changes = self.run(score).await.unwrap();
        changes.iter().map(|change| change.action).collect()
    }

    pub(crate) async fn failure(&self, score: &impl Score<K8sAnywhereTopology>) -> Report {
        self.run(score).await.unwrap_err()
    }

    fn reference(&self, api_version: &str, kind: &str, name: &str) -> ObjectRef {
        let is_cluster_scoped = matches!(kind, "Namespace" | "CustomResourceDefinition");
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: (!is_cluster_scoped).then(|| self.namespace.clone()),
            name: name.parse().unwrap(),
        }
    }

    pub(crate) async fn object(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let found = self
            .topology
            .get(&self.reference(api_version, kind, name))
            .await
            .unwrap();
        found.map(harmony_core::kubernetes::KubeObject::into_body)
    }

    pub(crate) async fn remove_definition(&self, name: &str) {
        let definition =
            self.reference("apiextensions.k8s.io/v1", "CustomResourceDefinition", name);
        self.topology.delete(&definition).await.unwrap();
    }

    /// Pushes a chart as its authors would.
    pub(crate) fn helm_push(&self, archive: &[u8], registry: &RegistryHost) {
        let path = self.folder.path().join("chart.tgz");
        std::fs::write(&path, archive).unwrap();
        let helm = harmony::charts::helm::Helm::find().expect("this test needs helm");
        let output = Command::new(helm.program())
            .args(["push", "--plain-http"])
            .arg(&path)
            .arg(format!("oci://{registry}/team"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Removes a chart from the cache.
    pub(crate) fn forget(digest: &str) {
        let folder = harmony::dirs::cache()
            .join("third-party-charts")
            .checked()
            .unwrap();
        std::fs::remove_file(folder.join(format!("{}.tgz", digest.replace("sha256:", ""))))
            .unwrap();
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::sha256_from_bytes(Sha256::digest(bytes).into()).to_string()
}
