//! Checks what runs in the cluster from outside, as its users see it.
//!
//! Everything goes through the API server: `port-forward` to a ready pod behind a Service, `exec` in a ready pod of a
//! workload, the log of such a pod, and Events. So checks need no ingress, no node port and no route to the pod network.

mod exec;
mod http;
mod nats;
mod pods;
mod route;
mod tunnel;
mod warnings;

use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::Prober;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::prober::Tunnel;
use harmony_core::diagnostic::causes;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{ProbeFailure, ServicePort, SmokeCheck};
use harmony_types::Namespace;
use tokio::io::AsyncReadExt;

use crate::cluster::Cluster;
use route::Route;

/// A connection that stays open this long means that the port is open; a refused one is reported much earlier.
const SETTLE: Duration = Duration::from_millis(500);

#[async_trait]
impl Prober for Cluster {
    async fn probe(&self, namespace: &Namespace, check: &SmokeCheck) -> Result<(), ProbeFailure> {
        let connection = self.connected().map_err(seen)?;
        match check {
            SmokeCheck::Http {
                service,
                path,
                status,
                contains,
            } => {
                let stream = route::open(connection, namespace, service).await?;
                http::check(stream, service, path, *status, contains.as_deref()).await
            }
            SmokeCheck::Tcp { service } => {
                accepts(route::open(connection, namespace, service).await?).await
            }
            SmokeCheck::Exec { workload, command } => {
                exec::run(connection, namespace, workload, command).await
            }
            SmokeCheck::Nats { service } => {
                nats::check(route::open(connection, namespace, service).await?).await
            }
            SmokeCheck::Custom(custom) => custom.run(self, namespace).await,
            other => Err(ProbeFailure::new(format!(
                "a cluster cannot run the check `{other}`"
            ))),
        }
    }

    async fn connect(
        &self,
        namespace: &Namespace,
        service: &ServicePort,
    ) -> Result<Tunnel, ClusterError> {
        let connection = self.connected()?;
        // Resolve it once now, so that a Service without ready pods fails immediately with the reason.
        Route::find(connection, namespace, service).await?;
        tunnel::listen(self.clone(), namespace.clone(), service.clone()).await
    }

    async fn log(&self, workload: &ObjectRef, lines: u16) -> Result<Vec<String>, ProbeFailure> {
        let connection = self.connected().map_err(seen)?;
        pods::log(connection, workload, lines).await
    }

    async fn warnings(&self, object: &ObjectRef) -> Result<Vec<String>, ProbeFailure> {
        let connection = self.connected().map_err(seen)?;
        warnings::about(connection, object).await
    }
}

/// Converts an error to the result of a check, with its causes as details.
fn seen(error: impl std::error::Error + 'static) -> ProbeFailure {
    ProbeFailure::new(error.to_string()).with_details(causes(&error))
}

/// A connection counts as accepted if the pod sends something or keeps it open.
async fn accepts(mut stream: route::Stream) -> Result<(), ProbeFailure> {
    let mut first = [0_u8; 1];
    match tokio::time::timeout(SETTLE, stream.io.read(&mut first)).await {
        Err(_still_open) => Ok(()),
        Ok(Ok(count)) if count > 0 => Ok(()),
        Ok(ended) => Err(stream.why_it_ended(ended.err()).await),
    }
}
