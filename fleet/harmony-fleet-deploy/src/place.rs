//! The names, addresses and labels of the parts of a fleet in its namespace.

use std::collections::BTreeMap;

use harmony::core::verify::ServicePort;
use harmony::scores::nats::CLIENT_PORT;
use harmony::types::Namespace;

/// The name of the NATS server and of its Service.
pub(crate) const NATS: &str = "fleet-nats";
/// The name of the operator's Deployment and of its Service.
pub(crate) const OPERATOR: &str = "harmony-fleet-operator";
/// The name of the agent, of which each device has one.
pub(crate) const AGENT: &str = "harmony-fleet-agent";

/// The host of NATS within the cluster.
pub(crate) fn nats_host(namespace: &Namespace) -> String {
    format!("{NATS}.{namespace}.svc.cluster.local")
}

/// The address of NATS for clients within the cluster.
pub(crate) fn nats_url(namespace: &Namespace) -> String {
    format!("tls://{}:{CLIENT_PORT}", nats_host(namespace))
}

/// The address for clients in the namespace.
pub(crate) fn nats_service() -> ServicePort {
    ServicePort {
        service: NATS.parse().expect("a valid name"),
        port: CLIENT_PORT,
    }
}

/// The labels of the pods of one part.
pub(crate) fn labels(part: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".to_owned(), part.to_owned())])
}
