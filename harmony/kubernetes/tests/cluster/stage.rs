//! A namespace of a real cluster for one test, and the image that its pods run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use harmony_core::Context;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use harmony_core::verify::Verdict;
use harmony_kubernetes::Cluster;
use harmony_local::node::LocalNode;
use harmony_types::{ImageRef, Namespace};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::image;

/// Names the kubeconfig of another cluster than the local node. Its nodes must be able to run the peer's image.
const KUBECONFIG: &str = "HARMONY_TEST_KUBECONFIG";

/// The prefix of all namespaces of these tests.
pub(crate) const PREFIX: &str = "test-cluster-";

/// A namespace of its own, gone at the end of the test.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) context: Context,
    pub(crate) namespace: Namespace,
}

/// Runs a test in a namespace of its own, which is removed whether it passes or not.
pub(crate) async fn in_namespace<F: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Arc<Stage>) -> F,
) {
    let stage = Arc::new(Stage::open().await);
    let result = tokio::spawn(test(Arc::clone(&stage))).await;
    let namespace = object(
        &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": stage.namespace } }),
    );
    // By a run of its own: the test's may have been cancelled.
    let removed = reconnected().await.delete(namespace.reference()).await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic.into_panic());
    }
    removed.unwrap();
}

/// The kubeconfig of the cluster under test; the local node is brought up when it is not.
pub(crate) async fn kubeconfig() -> PathBuf {
    static READY: OnceCell<PathBuf> = OnceCell::const_new();
    let ready = READY.get_or_init(|| async {
        // Several providers are linked into nothing here, but the choice is made by the program, not by the library.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if let Some(named) = std::env::var_os(KUBECONFIG) {
            return named.into();
        }
        let node = LocalNode::default();
        node.up(&Context::new()).await.unwrap_or_else(|error| {
            panic!("the tests need a cluster: the local node (which needs root), or one that {KUBECONFIG} names: {error}")
        });
        node.kubeconfig()
    });
    ready.await.clone()
}

impl Stage {
    async fn open() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let context = Context::new();
        let cluster = Cluster::connect(&context, &kubeconfig().await, None)
            .await
            .unwrap();
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "{PREFIX}{:x}-{:x}-{count}",
            std::process::id(),
            since.as_secs() % 0xff_ffff
        );
        let stage = Self {
            cluster,
            context,
            namespace: name.parse().unwrap(),
        };
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": stage.namespace } });
        stage
            .cluster
            .apply(&stage.owner(), &[object(&body)])
            .await
            .unwrap();
        stage
    }

    /// Who applies in this test.
    pub(crate) fn owner(&self) -> Owner {
        Owner::score("test", &self.namespace)
    }

    /// The same cluster, planning.
    pub(crate) async fn planning(&self) -> Cluster {
        Cluster::connect(&self.context.planning(), &kubeconfig().await, None)
            .await
            .unwrap()
    }

    /// The objects with this namespace.
    pub(crate) fn objects(&self, bodies: impl IntoIterator<Item = Value>) -> Vec<KubeObject> {
        let placed = bodies.into_iter().map(|mut body| {
            body["metadata"]["namespace"] = json!(self.namespace);
            object(&body)
        });
        placed.collect()
    }

    pub(crate) async fn apply(&self, bodies: impl IntoIterator<Item = Value>) -> Vec<Change> {
        self.cluster
            .apply(&self.owner(), &self.objects(bodies))
            .await
            .unwrap()
    }

    /// Applies and waits; the verdict when it does not become ready.
    pub(crate) async fn deploy(
        &self,
        bodies: impl IntoIterator<Item = Value>,
        deadline: u64,
    ) -> Result<(), Verdict> {
        let objects = self.objects(bodies);
        self.cluster.apply(&self.owner(), &objects).await.unwrap();
        let references: Vec<_> = objects
            .iter()
            .map(|object| object.reference().clone())
            .collect();
        match self
            .cluster
            .wait_ready(&references, Duration::from_secs(deadline))
            .await
        {
            Ok(()) => Ok(()),
            Err(ClusterError::NotReady(verdict)) => Err(*verdict),
            Err(other) => panic!("{other:?}"),
        }
    }

    pub(crate) fn reference(&self, api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some(self.namespace.clone()),
            name: name.parse().unwrap(),
        }
    }

    /// kubectl of the local node, as somebody who is not Harmony.
    pub(crate) fn somebody_else(&self, arguments: &[&str]) {
        let mut command = LocalNode::default()
            .kubectl()
            .expect("these tests use the local node's kubectl");
        let output = command
            .args(["-n", self.namespace.as_str()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

pub(crate) fn object(body: &Value) -> KubeObject {
    KubeObject::new(body).unwrap()
}

pub(crate) fn actions(changes: &[Change]) -> Vec<Action> {
    changes.iter().map(|change| change.action).collect()
}

pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "key": value } })
}

/// A Deployment of one replica with the container `app`, which runs the peer with these arguments.
pub(crate) async fn deployment(name: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "app",
                        "image": peer_image().await.to_string(),
                        "imagePullPolicy": "IfNotPresent",
                        "args": arguments,
                        "ports": [{ "name": "main", "containerPort": 8080 }],
                    }],
                },
            },
        },
    })
}

pub(crate) fn service(name: &str, target_port: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "name": "main", "port": 80, "targetPort": target_port }] },
    })
}

/// The image of the peer, built and imported once.
pub(crate) async fn peer_image() -> &'static ImageRef {
    kubeconfig().await;
    image::peer_image().await
}

/// The cluster under test, by a run of its own.
pub(crate) async fn reconnected() -> Cluster {
    connected(&Context::new()).await
}

/// The cluster under test, by that run.
pub(crate) async fn connected(context: &Context) -> Cluster {
    Cluster::connect(context, &kubeconfig().await, None)
        .await
        .unwrap()
}
