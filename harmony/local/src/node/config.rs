//! The settings of the local node, and the paths of its files.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};

use ipnet::Ipv4Net;

use super::error::LocalNodeError;

/// The addresses and directories of the local node. All deploy programs on a machine share the [`Default`] node. Two
/// nodes with different configurations can run on one machine if each has its own network namespace, because kube-proxy
/// manages the packet filter of its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalNodeConfig {
    /// The Kubernetes name of the node, an RFC 1123 label. Also the name of its control group.
    pub name: String,
    /// The directory for certificates, database, images and logs. Created with mode 0700, owned by root.
    pub state_dir: PathBuf,
    /// The directory for the built program and, if Go was downloaded, the Go toolchain. Can be deleted while the node
    /// is stopped.
    pub cache_dir: PathBuf,
    /// The address of the node. It is added to the loopback interface, and the packet filter drops packets from other
    /// hosts to it.
    pub address: Ipv4Addr,
    /// The port of the API server on `address`.
    pub api_port: u16,
    /// The port of the kubelet on `address`.
    pub kubelet_port: u16,
    /// The client port of etcd on 127.0.0.1.
    pub etcd_client_port: u16,
    /// The peer port of etcd on 127.0.0.1. It has no peers but needs the port.
    pub etcd_peer_port: u16,
    /// The addresses of Services. The API server uses the first one and cluster DNS the tenth.
    pub service_cidr: Ipv4Net,
    /// The addresses of pods.
    pub pod_cidr: Ipv4Net,
}

impl Default for LocalNodeConfig {
    fn default() -> Self {
        Self {
            name: "harmony".into(),
            state_dir: "/var/lib/harmony/local-node".into(),
            cache_dir: "/var/cache/harmony".into(),
            address: Ipv4Addr::new(10, 99, 0, 1),
            api_port: 6443,
            kubelet_port: 10250,
            etcd_client_port: 2379,
            etcd_peer_port: 2380,
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 24),
        }
    }
}

/// `AF_UNIX` paths have at most 107 bytes, and containerd appends `.ttrpc` to its own.
const MAX_SOCKET_PATH: usize = 107 - ".ttrpc".len();
/// RFC 1123.
const MAX_NAME: usize = 63;

impl LocalNodeConfig {
    /// Checks the values before anything is written.
    ///
    /// # Errors
    /// [`LocalNodeError::Config`] with the field, its value and the reason.
    pub fn validate(&self) -> Result<(), LocalNodeError> {
        let refuse = |field: &'static str, value: String, reason: &str| {
            Err(LocalNodeError::Config {
                field,
                value,
                reason: reason.to_owned(),
            })
        };
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty()
            || self.name.len() > MAX_NAME
            || !self.name.chars().all(label)
            || self.name.starts_with('-')
            || self.name.ends_with('-')
        {
            return refuse(
                "name",
                self.name.clone(),
                "must have 1 to 63 lower-case letters, digits and `-`, and must not start or end with `-`",
            );
        }
        for (field, path) in [
            ("state_dir", &self.state_dir),
            ("cache_dir", &self.cache_dir),
        ] {
            let value = path.display().to_string();
            if !path.is_absolute() || path.parent().is_none() {
                return refuse(
                    field,
                    value,
                    "must be an absolute path below the root directory",
                );
            }
            if path
                .to_str()
                .is_none_or(|path| path.contains([',', '\n', '"', ' ']))
            {
                return refuse(
                    field,
                    value,
                    "must be UTF-8 without commas, quotes, spaces and line breaks",
                );
            }
            // The path identifies the processes of the node, so it must have only one spelling.
            let plain: PathBuf = path.components().collect();
            if plain.as_os_str() != path.as_os_str()
                || plain.components().any(|part| part == Component::ParentDir)
            {
                let reason = "must not contain `.` or `..`, or end with a slash";
                return refuse(field, value, reason);
            }
        }
        if self.layout().containerd_socket().as_os_str().len() > MAX_SOCKET_PATH {
            return refuse(
                "state_dir",
                self.state_dir.display().to_string(),
                "is too long for the paths of the sockets in it",
            );
        }
        let ports = [
            ("api_port", self.api_port),
            ("kubelet_port", self.kubelet_port),
            ("etcd_client_port", self.etcd_client_port),
            ("etcd_peer_port", self.etcd_peer_port),
        ];
        for (index, (field, port)) in ports.iter().enumerate() {
            if *port == 0 {
                return refuse(field, "0".into(), "must be a fixed port");
            }
            if let Some((other, _)) = ports.iter().take(index).find(|(_, taken)| taken == port) {
                return refuse(field, port.to_string(), &format!("is also the {other}"));
            }
        }
        if self.address.is_loopback()
            || self.address.is_unspecified()
            || self.address.is_multicast()
        {
            return refuse(
                "address",
                self.address.to_string(),
                "must be a unicast address outside 127.0.0.0/8",
            );
        }
        for (field, net, prefixes) in [
            // the API server refuses a larger service range, and DNS needs the tenth address
            ("service_cidr", self.service_cidr, 12..=27),
            ("pod_cidr", self.pod_cidr, 8..=28),
        ] {
            if net.network() != net.addr() {
                return refuse(field, net.to_string(), "has bits set after its prefix");
            }
            if !prefixes.contains(&net.prefix_len()) {
                let reason = format!(
                    "needs a prefix of /{} to /{}",
                    prefixes.start(),
                    prefixes.end()
                );
                return refuse(field, net.to_string(), &reason);
            }
            if net.contains(&self.address) {
                return refuse(field, net.to_string(), "contains the address of the node");
            }
        }
        if self.service_cidr.contains(&self.pod_cidr) || self.pod_cidr.contains(&self.service_cidr)
        {
            return refuse(
                "pod_cidr",
                self.pod_cidr.to_string(),
                "overlaps the service_cidr",
            );
        }
        Ok(())
    }

    /// The paths of the files of this node.
    pub(super) fn layout(&self) -> Layout {
        Layout {
            state: self.state_dir.clone(),
        }
    }

    /// The URL of the API server for clients.
    pub(super) fn api_url(&self) -> String {
        format!("https://{}", self.api_address())
    }

    pub(super) fn api_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.into(), self.api_port)
    }

    pub(super) fn etcd_client_address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.etcd_client_port)
    }

    pub(super) fn etcd_peer_address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.etcd_peer_port)
    }

    pub(super) fn kubelet_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.into(), self.kubelet_port)
    }

    /// The Service `kubernetes.default`, for which the API server always uses the first address.
    pub(super) fn api_service_address(&self) -> Ipv4Addr {
        nth(self.service_cidr, 1)
    }

    /// The Service `kube-dns`, with the tenth address as in kubeadm and k3s.
    pub(super) fn dns_service_address(&self) -> Ipv4Addr {
        nth(self.service_cidr, 10)
    }
}

fn nth(net: Ipv4Net, index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()) + index)
}

/// The files in the state directory. Everything in `run` is invalid after a reboot of the machine.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    state: PathBuf,
}

impl Layout {
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// Next to the state directory and not in it, so that deleting the state keeps the lock.
    pub(super) fn lock(&self) -> PathBuf {
        let mut path = self.state.clone().into_os_string();
        path.push(".lock");
        path.into()
    }

    pub(super) fn pki(&self, file: &str) -> PathBuf {
        self.state.join("pki").join(file)
    }

    pub(super) fn config(&self, file: &str) -> PathBuf {
        self.state.join("config").join(file)
    }

    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.config(&format!("{user}.kubeconfig"))
    }

    pub(super) fn cni_config_dir(&self) -> PathBuf {
        self.state.join("config/cni")
    }

    pub(super) fn registry_config_dir(&self) -> PathBuf {
        self.state.join("config/registries")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.log")
    }

    pub(super) fn pod_logs(&self) -> PathBuf {
        self.logs().join("pods")
    }

    pub(super) fn etcd_data(&self) -> PathBuf {
        self.state.join("etcd")
    }

    pub(super) fn kubelet_root(&self) -> PathBuf {
        self.state.join("kubelet")
    }

    pub(super) fn containerd_root(&self) -> PathBuf {
        self.state.join("containerd")
    }

    pub(super) fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    pub(super) fn containerd_state(&self) -> PathBuf {
        self.run().join("containerd")
    }

    pub(super) fn containerd_socket(&self) -> PathBuf {
        self.run().join("containerd.sock")
    }

    /// Exists while the network and kernel settings of the machine are changed; contains their previous values.
    pub(super) fn machine_record(&self) -> PathBuf {
        self.run().join("machine.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut LocalNodeConfig)) -> Option<&'static str> {
        let mut config = LocalNodeConfig::default();
        change(&mut config);
        match config.validate() {
            Ok(()) => None,
            Err(LocalNodeError::Config { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(refused(|_| ()), None);
    }

    #[test]
    fn each_bad_value_is_refused_by_its_field() {
        assert_eq!(refused(|c| c.name = String::new()), Some("name"));
        assert_eq!(refused(|c| c.name = "Node_1".into()), Some("name"));
        assert_eq!(refused(|c| c.name = "-a".into()), Some("name"));
        assert_eq!(refused(|c| c.name = "a".repeat(64)), Some("name"));
        assert_eq!(
            refused(|c| c.state_dir = "relative".into()),
            Some("state_dir")
        );
        for twisted in ["/var/lib/x/", "/var/lib/../x", "/var/./lib", "/var//lib"] {
            assert_eq!(
                refused(|c| c.state_dir = twisted.into()),
                Some("state_dir"),
                "{twisted}"
            );
        }
        assert_eq!(refused(|c| c.state_dir = "/".into()), Some("state_dir"));
        assert_eq!(
            refused(|c| c.state_dir = "/var/lib/my node".into()),
            Some("state_dir")
        );
        assert_eq!(
            refused(|c| c.state_dir = format!("/{}", "x".repeat(90)).into()),
            Some("state_dir")
        );
        assert_eq!(refused(|c| c.cache_dir = "cache".into()), Some("cache_dir"));
        assert_eq!(refused(|c| c.api_port = 0), Some("api_port"));
        assert_eq!(
            refused(|c| c.etcd_peer_port = c.etcd_client_port),
            Some("etcd_peer_port")
        );
        assert_eq!(
            refused(|c| c.address = Ipv4Addr::LOCALHOST),
            Some("address")
        );
        assert_eq!(
            refused(|c| c.address = Ipv4Addr::new(10, 96, 3, 4)),
            Some("service_cidr")
        );
        assert_eq!(
            refused(|c| c.service_cidr = "10.96.0.1/16".parse().unwrap()),
            Some("service_cidr")
        );
        assert_eq!(
            refused(|c| c.service_cidr = "10.0.0.0/8".parse().unwrap()),
            Some("service_cidr")
        );
        assert_eq!(
            refused(|c| c.pod_cidr = "10.96.4.0/24".parse().unwrap()),
            Some("pod_cidr")
        );
    }

    #[test]
    fn services_get_their_usual_addresses() {
        let config = LocalNodeConfig::default();
        assert_eq!(config.api_service_address(), Ipv4Addr::new(10, 96, 0, 1));
        assert_eq!(config.dns_service_address(), Ipv4Addr::new(10, 96, 0, 10));
        assert_eq!(
            config.layout().lock(),
            Path::new("/var/lib/harmony/local-node.lock")
        );
    }
}
