//! A local address that forwards to a Service.

use std::net::Ipv4Addr;

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::prober::Tunnel;
use harmony_core::diagnostic::causes;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::ServicePort;
use harmony_types::Namespace;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::route;
use crate::cluster::Cluster;

/// Listens on loopback only. Looks for a ready pod for each connection, so that the tunnel survives when pods are
/// replaced.
pub(super) async fn listen(
    cluster: Cluster,
    namespace: Namespace,
    service: ServicePort,
) -> Result<Tunnel, ClusterError> {
    let failed = |source: std::io::Error| ClusterError::Request {
        verb: "open a tunnel to",
        object: ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some(namespace.clone()),
            name: service.service.clone().into(),
        },
        source: source.into(),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let closed = CancellationToken::new();
    let guard = closed.clone().drop_guard();
    tokio::spawn(closed.run_until_cancelled_owned(serve(listener, cluster, namespace, service)));
    Ok(Tunnel::new(address, guard))
}

async fn serve(
    listener: TcpListener,
    cluster: Cluster,
    namespace: Namespace,
    service: ServicePort,
) {
    // Dropping this future also closes all open connections.
    let mut open = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    open.spawn(join(client, cluster.clone(), namespace.clone(), service.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "a tunnel accepts no more connections");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_ended) = open.join_next() => {}
        }
    }
}

/// A connection without a target is closed, as if nobody listened on the port.
async fn join(mut client: TcpStream, cluster: Cluster, namespace: Namespace, service: ServicePort) {
    let Ok(connection) = cluster.connected() else {
        return;
    };
    match route::open(connection, &namespace, &service).await {
        Ok(mut stream) => {
            if let Err(error) = copy_bidirectional(&mut client, &mut stream).await {
                tracing::debug!(%error, %service, "a connection through a tunnel ended");
            }
        }
        Err(failure) => {
            let causes = causes(&failure);
            tracing::debug!(seen = failure.seen, ?causes, %service, "a tunnel leads nowhere");
        }
    }
}
