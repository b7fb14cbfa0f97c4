//! A namespace of a real cluster for one test, the charts it delivers, and a cluster that is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::{DeployTarget, PackagedChart};
use harmony_core::kubernetes::{KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use harmony_kubernetes::{Cluster, DirectDelivery};
use harmony_local::node::LocalNode;
use harmony_types::{ChartRef, Digest, Namespace};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::charts;

/// Names the kubeconfig of another cluster than the local node.
const KUBECONFIG: &str = "HARMONY_TEST_KUBECONFIG";

const SETTINGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: {{ .Release.Namespace | toJson }}
data:
  greeting: {{ .Values.greeting | toJson }}
  url: {{ printf "http://web.%s.svc" .Release.Namespace | toJson }}
"#;

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: {{ .Values.replicas | toJson }}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: registry.invalid/web@sha256:0707070707070707070707070707070707070707070707070707070707070707 }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
";

const VALUES: &str = "greeting: hello\nreplicas: 0\n";

/// What only the first version has, and what only the second has.
const OLD: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: old }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: old }
---
apiVersion: v1
kind: Secret
metadata: { name: kept-by-hand, annotations: { "helm.sh/resource-policy": keep } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } }, storageClassName: none }
"#;

const NEW: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: { name: new }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: new }
rules: []
";

fn first() -> PackagedChart {
    let templates = [
        ("values.yaml", VALUES),
        ("templates/a.yaml", SETTINGS),
        ("templates/b.yaml", WEB),
        ("templates/c.yaml", OLD),
    ];
    charts::packaged("site", "1.0.0", &templates)
}

fn second() -> PackagedChart {
    let templates = [
        ("values.yaml", VALUES),
        ("templates/a.yaml", SETTINGS),
        ("templates/b.yaml", WEB),
        ("templates/c.yaml", NEW),
    ];
    charts::packaged("site", "2.0.0", &templates)
}

/// A registry in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<BTreeMap<ChartRef, PackagedChart>>>);

impl Registry {
    fn of(charts: impl IntoIterator<Item = PackagedChart>) -> Self {
        let registry = Self::default();
        for chart in charts {
            registry.0.lock().unwrap().insert(
                reference(chart.name.as_str(), &chart.version.to_string()),
                chart,
            );
        }
        registry
    }
}

#[async_trait]
impl HelmRegistry for Registry {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        self.0.lock().unwrap().insert(to.clone(), chart.clone());
        Ok(Published {
            change: Change::new(Action::Create, to.clone()),
            digest: None,
        })
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        Ok(self
            .0
            .lock()
            .unwrap()
            .get(chart)
            .map(|chart| chart.archive_digest.clone()))
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        let found = self.0.lock().unwrap().get(chart).cloned();
        found.ok_or_else(|| RegistryError::NotFound {
            reference: chart.to_string(),
        })
    }
}

pub(crate) fn reference(name: &str, version: &str) -> ChartRef {
    format!("oci://registry.example.com/team/{name}:{version}")
        .parse()
        .unwrap()
}

pub(crate) fn location() -> RegistryLocation {
    RegistryLocation::new(
        "registry.example.com".parse().unwrap(),
        Some("team".parse().unwrap()),
    )
    .unwrap()
}

/// A cluster that is cut off after so many writes: what a killed delivery leaves behind.
#[derive(Debug, Clone)]
pub(crate) struct CutOff {
    pub(crate) cluster: Cluster,
    pub(crate) left: Arc<AtomicU32>,
}

impl CutOff {
    async fn write<T>(
        &self,
        write: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        let take_one = |left: u32| left.checked_sub(1);
        match self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one)
        {
            Ok(_) => write.await,
            Err(_) => Err(ClusterError::Unreachable {
                endpoint: "the cut".into(),
                source: "killed".into(),
            }),
        }
    }
}

#[async_trait]
impl KubernetesCluster for CutOff {
    async fn apply(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError> {
        let mut changes = Vec::new();
        for object in objects {
            let applied = self.cluster.apply(owner, std::slice::from_ref(object));
            changes.extend(self.write(applied).await?);
        }
        Ok(changes)
    }

    async fn preview(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError> {
        self.cluster.preview(owner, objects).await
    }

    async fn get_or_create(
        &self,
        owner: &Owner,
        object: &KubeObject,
    ) -> Result<(KubeObject, Change), ClusterError> {
        self.write(self.cluster.get_or_create(owner, object)).await
    }

    async fn wait_ready(
        &self,
        objects: &[ObjectRef],
        deadline: Duration,
    ) -> Result<(), ClusterError> {
        self.cluster.wait_ready(objects, deadline).await
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<KubeObject>, ClusterError> {
        self.cluster.get(object).await
    }

    async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError> {
        self.write(self.cluster.delete(object)).await
    }

    async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError> {
        self.write(self.cluster.delete_observed(object)).await
    }

    async fn list(&self, query: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError> {
        self.cluster.list(query).await
    }
}

/// A namespace that does not exist when the test begins, and what delivers into it.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    planning: Cluster,
    pub(crate) namespace: Namespace,
    pub(crate) registry: Registry,
}

impl Stage {
    pub(crate) fn target(&self) -> DeployTarget {
        DeployTarget::namespace(self.namespace.clone())
    }

    pub(crate) fn target_with(&self, values: Value) -> DeployTarget {
        let Value::Object(values) = values else {
            panic!("values are a mapping")
        };
        DeployTarget::namespace(self.namespace.clone()).with_values(values.into_iter().collect())
    }

    pub(crate) async fn sync(
        &self,
        version: &str,
        target: &DeployTarget,
    ) -> Result<Vec<Change>, DeliveryError> {
        let delivery = DirectDelivery::new(
            Context::new(),
            self.cluster.clone(),
            self.registry.clone(),
            location(),
        );
        let chart = reference("site", version);
        Ok(delivery.sync_to(&chart, target).await?.changes)
    }

    pub(crate) async fn plan(
        &self,
        version: &str,
        target: &DeployTarget,
    ) -> Result<Vec<Change>, DeliveryError> {
        let context = Context::new().planning();
        let delivery = DirectDelivery::new(
            context,
            self.planning.clone(),
            self.registry.clone(),
            location(),
        );
        let chart = reference("site", version);
        Ok(delivery.sync_to(&chart, target).await?.changes)
    }

    pub(crate) fn named(&self, api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: (kind != "Namespace").then(|| self.namespace.clone()),
            name: name.parse().unwrap(),
        }
    }

    pub(crate) async fn body(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        self.cluster
            .get(&self.named(api_version, kind, name))
            .await
            .unwrap()
            .map(KubeObject::into_body)
    }

    /// The objects of either version that exist, by name, and a version of each that grows when somebody writes it.
    pub(crate) async fn there(&self) -> BTreeMap<String, String> {
        let mut there = BTreeMap::new();
        for (api_version, kind, name) in [
            ("v1", "ConfigMap", "harmony-delivery-site"),
            ("v1", "ConfigMap", "settings"),
            ("apps/v1", "Deployment", "web"),
            ("v1", "Service", "web"),
            ("v1", "ConfigMap", "old"),
            ("v1", "ServiceAccount", "old"),
            ("v1", "Secret", "kept-by-hand"),
            ("v1", "PersistentVolumeClaim", "data"),
            ("v1", "ConfigMap", "new"),
            ("rbac.authorization.k8s.io/v1", "Role", "new"),
        ] {
            if let Some(body) = self.body(api_version, kind, name).await {
                let labels = &body["metadata"]["labels"];
                assert_eq!(
                    labels["app.kubernetes.io/managed-by"], "harmony",
                    "{kind} {name}"
                );
                assert_eq!(labels["harmony.dev/delivery"], "site", "{kind} {name}");
                // The controller of a Deployment writes its status, which is not our business.
                let metadata = &body["metadata"];
                let version = metadata
                    .get("generation")
                    .unwrap_or(&metadata["resourceVersion"]);
                there.insert(format!("{kind} {name}"), version.to_string());
            }
        }
        there
    }

    /// What the inventory lists, and in which state it is.
    pub(crate) async fn listed(&self) -> Option<(String, BTreeSet<String>)> {
        let body = self
            .body("v1", "ConfigMap", "harmony-delivery-site")
            .await?;
        let objects: Vec<Value> =
            serde_json::from_str(body["data"]["objects"].as_str().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = objects
            .iter()
            .map(|object| format!("{} {}", text(&object["kind"]), text(&object["name"])));
        Some((text(&body["data"]["state"]), names.collect()))
    }

    /// Changes a ConfigMap as somebody else than Harmony.
    pub(crate) async fn edit(&self, name: &str, patch: Value) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
        let api: Api<DynamicObject> =
            Api::namespaced_with(client().await, self.namespace.as_str(), &resource);
        let parameters = PatchParams {
            field_manager: Some("somebody".into()),
            ..PatchParams::default()
        };
        api.patch(name, &parameters, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Creates an object of the kinds of the core as somebody else than Harmony.
    pub(crate) async fn create(&self, body: Value) {
        let kind = body["kind"].as_str().unwrap().to_owned();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", &kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(client().await, self.namespace.as_str(), &resource);
        let parameters = PostParams {
            field_manager: Some("somebody".into()),
            ..PostParams::default()
        };
        let object = serde_json::from_value(body).unwrap();
        api.create(&parameters, &object).await.unwrap();
    }

    /// Gives all fields of a ConfigMap to that manager.
    pub(crate) async fn rename_managers(&self, name: &str, manager: &str) {
        let body = self.body("v1", "ConfigMap", name).await.unwrap();
        let mut entries = body["metadata"]["managedFields"].clone();
        for entry in entries.as_array_mut().unwrap() {
            entry["manager"] = manager.into();
        }
        let steps = serde_json::json!([
            { "op": "replace", "path": "/metadata/managedFields", "value": entries },
        ]);
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
        let api: Api<DynamicObject> =
            Api::namespaced_with(client().await, self.namespace.as_str(), &resource);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(steps).unwrap());
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Begins to remove the namespace; the server takes its time, and nobody needs to wait.
    async fn close(&self) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let api: Api<DynamicObject> = Api::all_with(client().await, &resource);
        match api
            .delete(self.namespace.as_str(), &DeleteParams::default())
            .await
        {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            removed => drop(removed.unwrap()),
        }
    }
}

/// The server, without Harmony in between.
async fn client() -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig().await).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// The kubeconfig of the cluster under test; the local node is brought up when it is not.
async fn kubeconfig() -> PathBuf {
    static READY: OnceCell<PathBuf> = OnceCell::const_new();
    let ready = READY.get_or_init(|| async {
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

/// Runs a test and removes its namespace, whether it passes or not.
pub(crate) async fn on_stage<F: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Stage) -> F,
) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!(
        "test-delivery-{:x}-{:x}-{count}",
        std::process::id(),
        since % 0xff_ffff
    );
    let kubeconfig = kubeconfig().await;
    let stage = Stage {
        cluster: Cluster::connect(&Context::new(), &kubeconfig, None)
            .await
            .unwrap(),
        planning: Cluster::connect(&Context::new().planning(), &kubeconfig, None)
            .await
            .unwrap(),
        namespace: name.parse().unwrap(),
        registry: Registry::of([first(), second()]),
    };
    let result = tokio::spawn(test(stage.clone())).await;
    stage.close().await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic.into_panic());
    }
}
