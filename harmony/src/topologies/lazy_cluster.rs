//! A cluster that is still starting while images are built.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use harmony_core::async_trait;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::prober::Tunnel;
use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::kubernetes::{ClusterCapabilities, KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::Change;
use harmony_core::owner::Owner;
use harmony_core::verify::{ProbeFailure, ServicePort, SmokeCheck};
use harmony_kubernetes::Cluster;
use harmony_types::Namespace;

/// A cluster that is prepared once, when it is first used or when [`LazyCluster::begin`] is called. Every use waits for
/// the preparation, and returns its error if it fails.
#[derive(Clone)]
pub struct LazyCluster {
    ready: Shared<BoxFuture<'static, Result<Cluster, AnyDiagnostic>>>,
}

impl LazyCluster {
    /// A cluster that `prepare` starts. Nothing runs yet.
    pub fn new(
        prepare: impl Future<Output = Result<Cluster, AnyDiagnostic>> + Send + 'static,
    ) -> Self {
        Self {
            ready: prepare.boxed().shared(),
        }
    }

    /// Starts the preparation in the background, so that images can be built at the same time.
    pub fn begin(&self) {
        tokio::spawn(self.ready.clone());
    }

    /// Waits until the cluster is ready.
    ///
    /// # Errors
    /// The error of the preparation.
    pub async fn cluster(&self) -> Result<Cluster, AnyDiagnostic> {
        self.ready.clone().await
    }

    /// Returns false while planning for a cluster that does not exist yet.
    ///
    /// # Errors
    /// The error of the preparation.
    pub(super) async fn is_there(&self) -> Result<bool, RegistryError> {
        Ok(!self
            .cluster()
            .await
            .map_err(RegistryError::Adapter)?
            .is_absent())
    }

    async fn get_ready(&self) -> Result<Cluster, ClusterError> {
        self.cluster().await.map_err(ClusterError::Adapter)
    }
}

impl fmt::Debug for LazyCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ready.peek().is_some() {
            "LazyCluster(prepared)"
        } else {
            "LazyCluster(not prepared)"
        })
    }
}

#[async_trait]
impl KubernetesCluster for LazyCluster {
    async fn apply(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError> {
        self.get_ready().await?.apply(owner, objects).await
    }

    async fn preview(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError> {
        self.get_ready().await?.preview(owner, objects).await
    }

    async fn get_or_create(
        &self,
        owner: &Owner,
        object: &KubeObject,
    ) -> Result<(KubeObject, Change), ClusterError> {
        self.get_ready().await?.get_or_create(owner, object).await
    }

    async fn wait_ready(
        &self,
        objects: &[ObjectRef],
        deadline: Duration,
    ) -> Result<(), ClusterError> {
        self.get_ready().await?.wait_ready(objects, deadline).await
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<KubeObject>, ClusterError> {
        self.get_ready().await?.get(object).await
    }

    async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError> {
        self.get_ready().await?.delete(object).await
    }

    async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError> {
        self.get_ready().await?.delete_observed(object).await
    }

    async fn capabilities(&self) -> Result<Option<ClusterCapabilities>, ClusterError> {
        self.get_ready().await?.capabilities().await
    }

    async fn list(&self, query: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError> {
        self.get_ready().await?.list(query).await
    }
}

#[async_trait]
impl Prober for LazyCluster {
    async fn probe(&self, namespace: &Namespace, check: &SmokeCheck) -> Result<(), ProbeFailure> {
        match self.cluster().await {
            Ok(cluster) => cluster.probe(namespace, check).await,
            Err(error) => Err(ProbeFailure::new(error.to_string())),
        }
    }

    async fn connect(
        &self,
        namespace: &Namespace,
        service: &ServicePort,
    ) -> Result<Tunnel, ClusterError> {
        self.get_ready().await?.connect(namespace, service).await
    }

    async fn log(&self, workload: &ObjectRef, lines: u16) -> Result<Vec<String>, ProbeFailure> {
        match self.cluster().await {
            Ok(cluster) => cluster.log(workload, lines).await,
            Err(error) => Err(ProbeFailure::new(error.to_string())),
        }
    }

    async fn warnings(&self, object: &ObjectRef) -> Result<Vec<String>, ProbeFailure> {
        match self.cluster().await {
            Ok(cluster) => cluster.warnings(object).await,
            Err(error) => Err(ProbeFailure::new(error.to_string())),
        }
    }
}
