//! How to start each component: its arguments and the files that it reads.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::component::Component;
use super::config::{Layout, LocalNodeConfig};
use super::error::LocalNodeError;
use super::files;
use super::inputs::Inputs;
use super::process::Launch;
use super::rendered;

/// Writes the files that the components read.
pub(super) fn write_files(inputs: Inputs<'_>) -> Result<(), LocalNodeError> {
    let layout = inputs.config.layout();
    for folder in [
        layout.logs(),
        layout.pod_logs(),
        layout.etcd_data(),
        layout.kubelet_root(),
        layout.containerd_root(),
        layout.registry_config_dir(),
        layout.run(),
    ] {
        files::create_private_dir(&folder)?;
    }
    for (path, content, access) in rendered::files(inputs, &layout)? {
        files::write_if_changed(&path, content.as_bytes(), access)?;
    }
    Ok(())
}

/// How to start a component now. If its fingerprint differs from that of the running process, the process is out of
/// date.
pub(super) fn launch(inputs: Inputs<'_>, component: Component) -> Result<Launch, LocalNodeError> {
    let layout = inputs.config.layout();
    let program = match component {
        Component::Containerd => inputs.host.containerd.clone(),
        _ => inputs.program.node.clone(),
    };
    let args = arguments(inputs.config, &layout, component);
    let mut parts: Vec<Vec<u8>> = vec![program.as_os_str().as_encoded_bytes().to_vec()];
    parts.extend(args.iter().map(|arg| arg.as_bytes().to_vec()));
    for path in files_read(&layout, component) {
        parts.push(fs::read(&path).map_err(LocalNodeError::file("read", &path))?);
    }
    Ok(Launch {
        name: component.as_str().into(),
        program,
        args: args.into_iter().map(OsString::from).collect(),
        log: log_of(&layout, component),
        reaches_out: component == Component::Containerd,
        env: Vec::new(),
        spec: files::fingerprint(parts.iter().map(Vec::as_slice)),
    })
}

pub(super) fn log_of(layout: &Layout, component: Component) -> PathBuf {
    layout.logs().join(format!("{component}.log"))
}

fn arguments(config: &LocalNodeConfig, layout: &Layout, component: Component) -> Vec<String> {
    let path = |path: PathBuf| path.display().to_string();
    let pki = |file: &str| path(layout.pki(file));
    let flag = |name: &str, value: String| format!("--{name}={value}");
    if component == Component::Containerd {
        return vec!["--config".into(), path(layout.config("containerd.toml"))];
    }
    let mut args = vec![component.as_str().to_owned()];
    args.extend(match component {
        Component::Containerd => Vec::new(),
        Component::Etcd => {
            let (client, peer) = (
                format!("https://{}", config.etcd_client_address()),
                format!("https://{}", config.etcd_peer_address()),
            );
            vec![
                flag("name", config.name.clone()),
                flag("data-dir", path(layout.etcd_data())),
                flag("listen-client-urls", client.clone()),
                flag("advertise-client-urls", client),
                flag("listen-peer-urls", peer.clone()),
                flag("initial-advertise-peer-urls", peer.clone()),
                flag("initial-cluster", format!("{}={peer}", config.name)),
                flag("cert-file", pki("etcd.crt")),
                flag("key-file", pki("etcd.key")),
                flag("trusted-ca-file", pki("etcd-ca.crt")),
                flag("client-cert-auth", "true".into()),
                flag("peer-cert-file", pki("etcd.crt")),
                flag("peer-key-file", pki("etcd.key")),
                flag("peer-trusted-ca-file", pki("etcd-ca.crt")),
                flag("peer-client-cert-auth", "true".into()),
                // A single member has no peers and can elect itself immediately.
                flag("heartbeat-interval", "50".into()),
                flag("election-timeout", "250".into()),
                flag("auto-compaction-retention", "5m".into()),
            ]
        }
        Component::ApiServer => vec![
            flag(
                "etcd-servers",
                format!("https://{}", config.etcd_client_address()),
            ),
            flag("etcd-cafile", pki("etcd-ca.crt")),
            flag("etcd-certfile", pki("etcd-client.crt")),
            flag("etcd-keyfile", pki("etcd-client.key")),
            flag("bind-address", config.address.to_string()),
            flag("secure-port", config.api_port.to_string()),
            flag("advertise-address", config.address.to_string()),
            flag("anonymous-auth", "false".into()),
            flag("authorization-mode", "Node,RBAC".into()),
            flag("enable-admission-plugins", "NodeRestriction".into()),
            flag("allow-privileged", "true".into()),
            flag("service-cluster-ip-range", config.service_cidr.to_string()),
            flag("tls-cert-file", pki("kube-apiserver.crt")),
            flag("tls-private-key-file", pki("kube-apiserver.key")),
            flag("client-ca-file", pki("ca.crt")),
            flag(
                "service-account-issuer",
                "https://kubernetes.default.svc.cluster.local".into(),
            ),
            flag("service-account-key-file", pki("service-account.pub")),
            flag(
                "service-account-signing-key-file",
                pki("service-account.key"),
            ),
            flag("kubelet-certificate-authority", pki("ca.crt")),
            flag(
                "kubelet-client-certificate",
                pki("kube-apiserver-kubelet-client.crt"),
            ),
            flag(
                "kubelet-client-key",
                pki("kube-apiserver-kubelet-client.key"),
            ),
            // The name of the node is not in DNS, so logs, exec and port-forward use its address.
            flag("kubelet-preferred-address-types", "InternalIP".into()),
            flag(
                "audit-policy-file",
                path(layout.config("audit-policy.json")),
            ),
            flag("audit-log-path", path(layout.audit_log())),
            flag("audit-log-maxsize", "20".into()),
            flag("audit-log-maxbackup", "2".into()),
            flag("profiling", "false".into()),
        ],
        Component::ControllerManager => vec![
            flag("kubeconfig", path(layout.kubeconfig(component.as_str()))),
            // Nothing scrapes it, and one port less can be in use.
            flag("secure-port", "0".into()),
            flag("leader-elect", "false".into()),
            flag("use-service-account-credentials", "true".into()),
            // With the default of 20 requests per second, its start takes five seconds.
            flag("kube-api-qps", "200".into()),
            flag("kube-api-burst", "400".into()),
            flag(
                "service-account-private-key-file",
                pki("service-account.key"),
            ),
            flag("root-ca-file", pki("ca.crt")),
            flag("cluster-signing-cert-file", pki("ca.crt")),
            flag("cluster-signing-key-file", pki("ca.key")),
            flag(
                "flex-volume-plugin-dir",
                path(layout.kubelet_root().join("volume-plugins")),
            ),
            flag("profiling", "false".into()),
        ],
        Component::Scheduler => vec![
            flag("kubeconfig", path(layout.kubeconfig(component.as_str()))),
            flag("secure-port", "0".into()),
            flag("leader-elect", "false".into()),
            flag("profiling", "false".into()),
        ],
        Component::Kubelet => vec![
            flag("config", path(layout.config("kubelet.json"))),
            flag("kubeconfig", path(layout.kubeconfig(component.as_str()))),
            flag("hostname-override", config.name.clone()),
            flag("node-ip", config.address.to_string()),
            flag("root-dir", path(layout.kubelet_root())),
            flag("cert-dir", path(layout.kubelet_root().join("pki"))),
        ],
        Component::Proxy => vec![flag("config", path(layout.config("kube-proxy.json")))],
    });
    args
}

/// The files whose change requires a restart of the component.
fn files_read(layout: &Layout, component: Component) -> Vec<PathBuf> {
    let pki = |names: &[&str]| {
        names
            .iter()
            .map(|name| layout.pki(name))
            .collect::<Vec<_>>()
    };
    let client = |component: Component| {
        let name = component.as_str();
        vec![
            layout.kubeconfig(name),
            layout.pki(&format!("{name}.crt")),
            layout.pki("ca.crt"),
        ]
    };
    match component {
        Component::Etcd => pki(&["etcd.crt", "etcd-ca.crt"]),
        Component::Containerd => vec![layout.config("containerd.toml")],
        Component::ApiServer => {
            let mut files = pki(&[
                "kube-apiserver.crt",
                "ca.crt",
                "etcd-client.crt",
                "etcd-ca.crt",
                "kube-apiserver-kubelet-client.crt",
                "service-account.pub",
            ]);
            files.push(layout.config("audit-policy.json"));
            files
        }
        Component::ControllerManager => {
            let mut files = client(component);
            files.push(layout.pki("service-account.pub"));
            files
        }
        Component::Scheduler => client(component),
        Component::Kubelet => {
            let mut files = client(component);
            files.extend([layout.config("kubelet.json"), layout.config("resolv.conf")]);
            files
        }
        Component::Proxy => {
            let mut files = client(component);
            files.push(layout.config("kube-proxy.json"));
            files
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_listens_beyond_the_node_and_nobody_is_anonymous() {
        let config = LocalNodeConfig::default();
        let layout = config.layout();
        let all: Vec<String> = Component::ALL
            .into_iter()
            .flat_map(|c| arguments(&config, &layout, c))
            .collect();
        assert!(all.iter().all(|arg| !arg.contains("0.0.0.0")), "{all:?}");
        assert!(all.contains(&"--anonymous-auth=false".to_owned()));
        assert!(all.contains(&"--bind-address=10.99.0.1".to_owned()));
        assert!(all.contains(&"--listen-client-urls=https://127.0.0.1:2379".to_owned()));
    }
}
