//! Finds the way from a port of a Service to a port of a ready pod.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{ProbeFailure, ServicePort};
use harmony_types::Namespace;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Portforwarder};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::timeout;

use super::seen;
use crate::connection::{Connection, REQUEST_TIMEOUT};

/// How long to wait for the reason after a connection ended.
const REASON_TIMEOUT: Duration = Duration::from_millis(500);

/// A pod that serves a port of a Service, and the pod's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) pod: String,
    pub(super) port: u16,
}

impl Route {
    /// Reads the Service and its endpoints, which say which pods are ready, and which port a named target port is.
    pub(super) async fn find(
        connection: &Connection,
        namespace: &Namespace,
        wanted: &ServicePort,
    ) -> Result<Self, ClusterError> {
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some(namespace.clone()),
            name: wanted.service.clone().into(),
        };
        let refused = |reason: String| ClusterError::Refused {
            object: object.clone(),
            reason,
            fields: Vec::new(),
        };
        let name = wanted.service.as_str();
        let services: Api<Service> = Api::namespaced(connection.client.clone(), namespace.as_str());
        let slices: Api<EndpointSlice> =
            Api::namespaced(connection.client.clone(), namespace.as_str());
        let of_service =
            ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let attempt = connection.attempt("read", &object);
        let both = async { tokio::try_join!(services.get_opt(name), slices.list(&of_service)) };
        let (service, slices) = timeout(REQUEST_TIMEOUT, both)
            .await
            .map_err(|elapsed| attempt.timed_out(elapsed))?
            .map_err(|error| attempt.failed(error))?;
        let service = service.ok_or_else(|| refused("the Service does not exist".into()))?;
        find_route(&service, &slices.items, wanted.port).map_err(refused)
    }
}

/// The pure part of [`Route::find`]; the error says what is missing.
fn find_route(service: &Service, slices: &[EndpointSlice], port: u16) -> Result<Route, String> {
    let ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    let ports: Vec<_> = ports.collect();
    let Some(own) = ports.iter().find(|own| own.port == i32::from(port)) else {
        let known: Vec<_> = ports.iter().map(|port| port.port.to_string()).collect();
        return Err(format!("it has no port {port}, only {}", known.join(", ")));
    };
    let own_name = own.name.as_deref().unwrap_or_default();
    for slice in slices {
        let port = slice
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref().unwrap_or_default() == own_name);
        let port = port.and_then(|port| u16::try_from(port.port?).ok());
        let ready = slice.endpoints.iter().find(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.is_none_or(|conditions| {
                conditions.ready != Some(false) && conditions.terminating != Some(true)
            })
        });
        let pod = ready
            .and_then(|endpoint| endpoint.target_ref.as_ref())
            .filter(|target| target.kind.as_deref() == Some("Pod"))
            .and_then(|target| target.name.clone());
        if let (Some(pod), Some(port)) = (pod, port) {
            return Ok(Route { pod, port });
        }
    }
    Err("it has no ready pods".into())
}

/// A connection to a pod, with the errors that the node reports.
pub(super) struct Stream {
    pub(super) io: DuplexStream,
    forwarder: Portforwarder,
    port: u16,
}

/// Connects to a ready pod behind the Service.
pub(super) async fn open(
    connection: &Connection,
    namespace: &Namespace,
    service: &ServicePort,
) -> Result<Stream, ProbeFailure> {
    let route = Route::find(connection, namespace, service)
        .await
        .map_err(seen)?;
    forward(connection, namespace, &route).await.map_err(seen)
}

/// Opens a port-forward for one connection.
pub(super) async fn forward(
    connection: &Connection,
    namespace: &Namespace,
    route: &Route,
) -> Result<Stream, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace.as_str());
    let mut forwarder = pods.portforward(&route.pod, &[route.port]).await?;
    let io = forwarder
        .take_stream(route.port)
        .ok_or_else(|| kube::Error::Service("the port-forward has no stream".into()))?;
    Ok(Stream {
        io,
        forwarder,
        port: route.port,
    })
}

impl Stream {
    /// Why the connection ended: the node's message, else the error, else that it was closed.
    pub(super) async fn why_it_ended(&mut self, error: Option<std::io::Error>) -> ProbeFailure {
        if let Some(reason) = self.forwarder.take_error(self.port)
            && let Ok(Some(reason)) = timeout(REASON_TIMEOUT, reason).await
        {
            let failure = if reason.contains("refused") {
                ProbeFailure::new("connection refused")
            } else {
                ProbeFailure::new("the connection failed")
            };
            return failure.with_details(vec![reason.trim().to_owned()]);
        }
        match error {
            Some(error) => ProbeFailure::new(format!("the connection failed: {error}")),
            None => ProbeFailure::new("the connection was closed immediately"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({ "spec": { "ports": [
            { "name": "web", "port": 80, "targetPort": "http" },
            { "name": "metrics", "port": 9000, "targetPort": 9090 },
        ]}}))
        .unwrap()
    }

    fn slices(ready: bool) -> Vec<EndpointSlice> {
        vec![
            serde_json::from_value(json!({
                "addressType": "IPv4", "metadata": {},
                "ports": [{ "name": "web", "port": 8080 }, { "name": "metrics", "port": 9090 }],
                "endpoints": [
                    { "addresses": ["10.0.0.1"], "conditions": { "ready": false },
                      "targetRef": { "kind": "Pod", "name": "old" } },
                    { "addresses": ["10.0.0.2"], "conditions": { "ready": ready },
                      "targetRef": { "kind": "Pod", "name": "new" } },
                ],
            }))
            .unwrap(),
        ]
    }

    #[test]
    fn a_named_target_port_is_the_port_of_the_endpoint() {
        let route = find_route(&service(), &slices(true), 80).unwrap();
        assert_eq!(
            route,
            Route {
                pod: "new".into(),
                port: 8080
            }
        );
        let route = find_route(&service(), &slices(true), 9000).unwrap();
        assert_eq!(
            route,
            Route {
                pod: "new".into(),
                port: 9090
            }
        );
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        assert_eq!(
            find_route(&service(), &slices(true), 81).unwrap_err(),
            "it has no port 81, only 80, 9000"
        );
        assert_eq!(
            find_route(&service(), &slices(false), 80).unwrap_err(),
            "it has no ready pods"
        );
        assert_eq!(
            find_route(&service(), &[], 80).unwrap_err(),
            "it has no ready pods"
        );
    }
}
