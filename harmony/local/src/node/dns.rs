//! Cluster DNS: CoreDNS as a Deployment that runs the node's own program.
//!
//! The pod uses the pause image, and mounts the program from the host. The program already exists there, and an image
//! with it would take 140 MB at the first start of every node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::machine::Machine;
use super::program::Program;

const FIELD_MANAGER: &str = "harmony-local-node";
const NAMESPACE: &str = "kube-system";

/// Applies all objects of cluster DNS.
pub(super) async fn apply(
    client: &Client,
    config: &LocalNodeConfig,
    machine: &Machine,
    program: &Program,
    image: &str,
) -> Result<(), LocalNodeError> {
    let applied = objects(config, machine, &program.node, image)
        .into_iter()
        .map(|object| apply_one(client, object));
    futures_util::future::try_join_all(applied).await.map(drop)
}

struct Object {
    resource: ApiResource,
    namespaced: bool,
    name: &'static str,
    body: Value,
}

impl Object {
    fn new(
        (group, version, kind, plural): (&str, &str, &str, &str),
        namespace: Option<&str>,
        name: &'static str,
        mut body: Value,
    ) -> Self {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        if let Some(body) = body.as_object_mut() {
            body.insert("apiVersion".into(), json!(resource.api_version));
            body.insert("kind".into(), json!(kind));
            body.insert(
                "metadata".into(),
                json!({ "name": name, "namespace": namespace }),
            );
        }
        Self {
            resource,
            namespaced: namespace.is_some(),
            name,
            body,
        }
    }
}

async fn apply_one(client: &Client, object: Object) -> Result<(), LocalNodeError> {
    const TRIES: u32 = 100;
    const EVERY: Duration = Duration::from_millis(50);
    let api: Api<DynamicObject> = if object.namespaced {
        Api::namespaced_with(client.clone(), NAMESPACE, &object.resource)
    } else {
        Api::all_with(client.clone(), &object.resource)
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let mut left = TRIES;
    loop {
        match api
            .patch(object.name, &params, &Patch::Apply(&object.body))
            .await
        {
            Ok(_) => return Ok(()),
            // A new API server already serves requests while it is creating kube-system and its own roles.
            Err(kube::Error::Api(status))
                if left > 0 && matches!(status.code, 403 | 404 | 429 | 500..) =>
            {
                left -= 1;
                tokio::time::sleep(EVERY).await;
            }
            Err(error) => {
                let action = format!("apply {} {}", object.resource.kind, object.name);
                return Err(LocalNodeError::api(action)(error));
            }
        }
    }
}

fn objects(
    config: &LocalNodeConfig,
    machine: &Machine,
    program: &Path,
    image: &str,
) -> Vec<Object> {
    let (namespaced, everywhere) = (Some(NAMESPACE), None);
    let labels = json!({ "k8s-app": "kube-dns" });
    let role = "system:coredns";
    vec![
        Object::new(
            ("", "v1", "ServiceAccount", "serviceaccounts"),
            namespaced,
            "coredns",
            json!({}),
        ),
        Object::new(
            (
                "rbac.authorization.k8s.io",
                "v1",
                "ClusterRole",
                "clusterroles",
            ),
            everywhere,
            role,
            json!({ "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"] },
            ] }),
        ),
        Object::new(
            (
                "rbac.authorization.k8s.io",
                "v1",
                "ClusterRoleBinding",
                "clusterrolebindings",
            ),
            everywhere,
            role,
            json!({
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": "coredns", "namespace": NAMESPACE }],
            }),
        ),
        Object::new(
            ("", "v1", "ConfigMap", "configmaps"),
            namespaced,
            "coredns",
            json!({ "data": { "Corefile": corefile(machine) } }),
        ),
        Object::new(
            ("", "v1", "Service", "services"),
            namespaced,
            "kube-dns",
            json!({ "spec": {
                "clusterIP": config.dns_service_address(),
                // There is only one pod, so there is no better one to ask. Names continue to resolve until a new
                // kubelet has probed the pod again.
                "publishNotReadyAddresses": true,
                "selector": labels,
                "ports": [
                    { "name": "dns", "port": 53, "protocol": "UDP" },
                    { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
                ],
            } }),
        ),
        Object::new(
            ("apps", "v1", "Deployment", "deployments"),
            namespaced,
            "coredns",
            json!({ "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod(program, image) },
            } }),
        ),
    ]
}

fn pod(program: &Path, image: &str) -> Value {
    json!({
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        // Use the name servers of the machine, which the kubelet knows.
        "dnsPolicy": "Default",
        "enableServiceLinks": false,
        // Schedule the pod as soon as the node exists; it starts when the network is ready.
        "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists" }],
        "containers": [{
            "name": "coredns",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/localnode", "coredns", "-conf", "/etc/coredns/Corefile"],
            "ports": [
                { "name": "dns", "containerPort": 53, "protocol": "UDP" },
                { "name": "dns-tcp", "containerPort": 53, "protocol": "TCP" },
            ],
            "readinessProbe": { "httpGet": { "path": "/ready", "port": 8181 }, "periodSeconds": 1 },
            "livenessProbe": { "httpGet": { "path": "/health", "port": 8080 }, "initialDelaySeconds": 30 },
            // The usual requests of CoreDNS, so that names resolve on a busy machine.
            "resources": { "requests": { "cpu": "100m", "memory": "70Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "runAsUser": 0,
                "runAsGroup": 0,
                "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] },
            },
            "volumeMounts": [
                { "name": "program", "mountPath": "/localnode", "readOnly": true },
                { "name": "config", "mountPath": "/etc/coredns", "readOnly": true },
            ],
        }],
        "volumes": [
            { "name": "program", "hostPath": { "path": program, "type": "File" } },
            { "name": "config", "configMap": { "name": "coredns" } },
        ],
    })
}

fn corefile(machine: &Machine) -> String {
    let forward = if machine.has_name_server() {
        "    forward . /etc/resolv.conf\n"
    } else {
        ""
    };
    format!(
        ".:53 {{\n    errors\n    health\n    ready\n    \
         kubernetes cluster.local in-addr.arpa ip6.arpa {{\n        \
         pods insecure\n        fallthrough in-addr.arpa ip6.arpa\n    }}\n\
         {forward}    cache 30\n    loadbalance\n    reload\n}}\n"
    )
}

/// Asks cluster DNS, at its Service address, for the address of the API server. Returns true if everything works, from
/// the packet filter to the pod and its view of the cluster.
pub(super) async fn answers(config: &LocalNodeConfig) -> bool {
    const PATIENCE: Duration = Duration::from_millis(500);
    let ask = async {
        // Use a new port each time, because the kernel keeps sending packets of a known connection to the same
        // destination.
        let socket = UdpSocket::bind((config.address, 0)).await.ok()?;
        socket
            .connect(SocketAddr::new(config.dns_service_address().into(), 53))
            .await
            .ok()?;
        socket
            .send(&query("kubernetes.default.svc.cluster.local"))
            .await
            .ok()?;
        let mut answer = [0_u8; 512];
        let length = socket.recv(&mut answer).await.ok()?;
        answer
            .get(..length)
            .map(|answer| is_answer(answer, config.api_service_address()))
    };
    tokio::time::timeout(PATIENCE, ask)
        .await
        .ok()
        .flatten()
        .unwrap_or(false)
}

const QUERY_ID: [u8; 2] = *b"HN";

/// Creates a query for the A record of a name (RFC 1035, section 4.1).
fn query(name: &str) -> Vec<u8> {
    let mut packet = Vec::with_capacity(64);
    packet.extend(QUERY_ID);
    packet.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired; one question
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(63));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]); // end of the name; type A, class IN
    packet
}

/// Returns true for a response without error whose last record is this address.
fn is_answer(packet: &[u8], address: Ipv4Addr) -> bool {
    let byte = |index: usize| packet.get(index).copied().unwrap_or(0);
    let (is_response, code, answers) = (
        byte(2) & 0x80 != 0,
        byte(3) & 0x0f,
        u16::from_be_bytes([byte(6), byte(7)]),
    );
    packet.starts_with(&QUERY_ID)
        && is_response
        && code == 0
        && answers > 0
        && packet.ends_with(&address.octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_as_rfc_1035_draws_it() {
        assert_eq!(
            query("a.bc"),
            b"HN\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01"
        );
    }

    #[test]
    fn only_the_right_address_is_an_answer() {
        let address = Ipv4Addr::new(10, 96, 0, 1);
        let mut packet = query("a");
        packet[2] |= 0x80;
        packet[7] = 1;
        packet.extend([10, 96, 0, 1]);
        assert!(is_answer(&packet, address));
        assert!(!is_answer(&packet, Ipv4Addr::new(10, 96, 0, 2)));
        packet[3] |= 3; // NXDOMAIN
        assert!(!is_answer(&packet, address));
        assert!(!is_answer(b"HN", address));
        assert!(!is_answer(b"", address));
    }

    #[test]
    fn names_outside_are_forwarded_only_where_somebody_answers() {
        let alone = Machine::example();
        assert!(!corefile(&alone).contains("forward"));
        let connected = Machine {
            resolv_conf: "nameserver 10.0.0.2\n".into(),
            ..alone
        };
        assert!(corefile(&connected).contains("    forward . /etc/resolv.conf\n    cache 30\n"));
    }
}
