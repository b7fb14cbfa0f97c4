//! How each component is started: its arguments and the files it reads. Pure: paths and values in, text out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::component::Component;
use super::config::{Layout, LocalNodeConfig};
use super::error::LocalNodeError;
use super::files::{self, Access};
use super::machine::{CgroupDriver, Machine};
use super::packages::HostPrograms;
use super::pki;
use super::process::Launch;
use super::program::Program;

/// Everything that the arguments depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) config: &'a LocalNodeConfig,
    pub(super) machine: &'a Machine,
    pub(super) host: &'a HostPrograms,
    pub(super) program: &'a Program,
    /// The image that holds a pod's namespaces, as containerd knows it.
    pub(super) pause_image: &'a str,
}

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
    for (path, content, access) in rendered(inputs, &layout)? {
        files::write_if_changed(&path, content.as_bytes(), access)?;
    }
    Ok(())
}

/// How a component is started now; its fingerprint differs from a running process' when that one is out of date.
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
        name: component.as_str(),
        program,
        args: args.into_iter().map(OsString::from).collect(),
        log: log_of(&layout, component),
        reaches_out: component == Component::Containerd,
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
            let (client, peer) =
                (format!("https://{}", config.etcd_client_address()), format!("https://{}", config.etcd_peer_address()));
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
                // One member has nobody to hear from: it may elect itself at once.
                flag("heartbeat-interval", "50".into()),
                flag("election-timeout", "250".into()),
                flag("auto-compaction-retention", "5m".into()),
            ]
        }
        Component::ApiServer => vec![
            flag("etcd-servers", format!("https://{}", config.etcd_client_address())),
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
            flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local".into()),
            flag("service-account-key-file", pki("service-account.pub")),
            flag("service-account-signing-key-file", pki("service-account.key")),
            flag("kubelet-certificate-authority", pki("ca.crt")),
            flag("kubelet-client-certificate", pki("kube-apiserver-kubelet-client.crt")),
            flag("kubelet-client-key", pki("kube-apiserver-kubelet-client.key")),
            // The node's name is in no name service: logs, exec and port-forward go to its address.
            flag("kubelet-preferred-address-types", "InternalIP".into()),
            flag("audit-policy-file", path(layout.config("audit-policy.json"))),
            flag("audit-log-path", path(layout.audit_log())),
            flag("audit-log-maxsize", "20".into()),
            flag("audit-log-maxbackup", "2".into()),
            flag("profiling", "false".into()),
        ],
        Component::ControllerManager => vec![
            flag("kubeconfig", path(layout.kubeconfig(component.as_str()))),
            // Nothing scrapes it; a port less can be taken by nobody.
            flag("secure-port", "0".into()),
            flag("leader-elect", "false".into()),
            flag("use-service-account-credentials", "true".into()),
            // The default of 20 requests a second alone makes its start take five seconds.
            flag("kube-api-qps", "200".into()),
            flag("kube-api-burst", "400".into()),
            flag("service-account-private-key-file", pki("service-account.key")),
            flag("root-ca-file", pki("ca.crt")),
            flag("cluster-signing-cert-file", pki("ca.crt")),
            flag("cluster-signing-key-file", pki("ca.key")),
            flag("flex-volume-plugin-dir", path(layout.kubelet_root().join("volume-plugins"))),
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

/// The files whose change means that the component must be started again.
fn files_read(layout: &Layout, component: Component) -> Vec<PathBuf> {
    let pki = |names: &[&str]| names.iter().map(|name| layout.pki(name)).collect::<Vec<_>>();
    let client = |component: Component| {
        let name = component.as_str();
        vec![layout.kubeconfig(name), layout.pki(&format!("{name}.crt")), layout.pki("ca.crt")]
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

fn rendered(inputs: Inputs<'_>, layout: &Layout) -> Result<Vec<(PathBuf, String, Access)>, LocalNodeError> {
    let Inputs { config, machine, host, pause_image, .. } = inputs;
    let mut files = vec![
        (layout.config("audit-policy.json"), pretty(&audit_policy()), Access::Public),
        (layout.config("kubelet.json"), pretty(&kubelet(config, layout, machine)), Access::Public),
        (layout.config("kube-proxy.json"), pretty(&kube_proxy(config, layout, machine)), Access::Public),
        (layout.config("resolv.conf"), machine.resolv_conf.clone(), Access::Public),
        (layout.config("containerd.toml"), containerd(layout, machine, host, pause_image), Access::Public),
        (layout.cni_config_dir().join("10-harmony.conflist"), pretty(&cni(config, layout)), Access::Public),
        (
            layout.kubeconfig("admin"),
            pretty(&kubeconfig(config, &embedded_credentials(layout, "admin")?)),
            Access::Secret,
        ),
    ];
    for component in [Component::ControllerManager, Component::Scheduler, Component::Kubelet, Component::Proxy] {
        let name = component.as_str();
        let content = pretty(&kubeconfig(config, &credential_files(layout, name)));
        files.push((layout.kubeconfig(name), content, Access::Secret));
    }
    Ok(files)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Writes of everybody but the system's own parts, without their bodies: small, and it shows who changed what.
fn audit_policy() -> Value {
    let system = json!([
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy"
    ]);
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "None", "users": system },
            { "level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"] },
            { "level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"] },
            { "level": "None" },
        ],
    })
}

fn kubelet(config: &LocalNodeConfig, layout: &Layout, machine: &Machine) -> Value {
    let (driver, root) = match machine.cgroup_driver {
        CgroupDriver::Cgroupfs => ("cgroupfs", format!("/{}", Machine::cgroup_name(&config.name))),
        CgroupDriver::Systemd => ("systemd", "/".to_owned()),
    };
    let mut value = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": config.address,
        "port": config.kubelet_port,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "cgroupDriver": driver,
        "cgroupRoot": root,
        "failCgroupV1": false,
        "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "clusterDNS": [config.dns_service_address()],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.config("resolv.conf"),
        "podLogsDir": layout.pod_logs(),
        "volumePluginDir": layout.kubelet_root().join("volume-plugins"),
        // A laptop's disk is always rather full: only the last percent is an emergency.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "0%",
        },
        // Imported images exist nowhere else: they are never collected.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": false,
        "makeIPTablesUtilChains": false,
    });
    if let (Some(map), false) = (value.as_object_mut(), machine.may_raise_limits) {
        map.insert("oomScoreAdj".into(), json!(0));
    }
    value
}

fn kube_proxy(config: &LocalNodeConfig, layout: &Layout, machine: &Machine) -> Value {
    let mut value = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": layout.kubeconfig(Component::Proxy.as_str()) },
        "hostnameOverride": config.name,
        "bindAddress": config.address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": config.pod_cidr.to_string(),
        "mode": "iptables",
        // Node ports open on the node's own address, which is reached from this machine only.
        "nodePortAddresses": [format!("{}/32", config.address)],
        "iptables": { "localhostNodePorts": false, "minSyncPeriod": "100ms" },
        // The connection table is the machine's, not ours to resize.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    });
    if let (Some(map), false) = (value.as_object_mut(), machine.may_raise_limits) {
        map.insert("oomScoreAdj".into(), json!(0));
    }
    value
}

/// Pods hang on point-to-point links, not on a bridge: then every packet between them is routed and passes the
/// packet filter, with no need for the bridge netfilter module, and no link stays when the last pod is gone.
fn cni(config: &LocalNodeConfig, layout: &Layout) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": super::network::CNI_NETWORK,
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": config.pod_cidr.to_string() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": layout.run().join("cni"),
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// Version 2 of the format is read by every containerd from 1.3 to 2.x.
fn containerd(layout: &Layout, machine: &Machine, host: &HostPrograms, pause_image: &str) -> String {
    // JSON's escapes are a subset of TOML's.
    let text = |path: &Path| Value::from(path.display().to_string()).to_string();
    let systemd = machine.cgroup_driver == CgroupDriver::Systemd;
    let restrict = !machine.may_raise_limits;
    format!(
        r#"version = 2
root = {root}
state = {state}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
  address = {socket}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = {restrict}
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {cni_bin}
    conf_dir = {cni_conf}
    max_conf_num = 1

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {registries}

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = {runc}
      Root = {runc_root}
      SystemdCgroup = {systemd}
"#,
        root = text(&layout.containerd_root()),
        state = text(&layout.containerd_state()),
        socket = text(&layout.containerd_socket()),
        opt = text(&layout.containerd_root().join("opt")),
        cni_bin = text(&host.cni_plugins),
        cni_conf = text(&layout.cni_config_dir()),
        registries = text(&layout.registry_config_dir()),
        runc = text(&host.runc),
        runc_root = text(&layout.run().join("runc")),
    )
}

fn kubeconfig(config: &LocalNodeConfig, credentials: &Credentials) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": config.name,
            "cluster": { "server": config.api_url(), (credentials.authority.0): credentials.authority.1 },
        }],
        "users": [{
            "name": config.name,
            "user": {
                (credentials.certificate.0): credentials.certificate.1,
                (credentials.key.0): credentials.key.1,
            },
        }],
        "contexts": [{ "name": config.name, "context": { "cluster": config.name, "user": config.name } }],
        "current-context": config.name,
    })
}

/// Each a kubeconfig field and its value.
struct Credentials {
    authority: (&'static str, String),
    certificate: (&'static str, String),
    key: (&'static str, String),
}

fn credential_files(layout: &Layout, name: &str) -> Credentials {
    let path = |file: String| layout.pki(&file).display().to_string();
    Credentials {
        authority: ("certificate-authority", path("ca.crt".into())),
        certificate: ("client-certificate", path(format!("{name}.crt"))),
        key: ("client-key", path(format!("{name}.key"))),
    }
}

/// For the administrator's kubeconfig: whole in itself, so that it can be copied.
fn embedded_credentials(layout: &Layout, name: &str) -> Result<Credentials, LocalNodeError> {
    use base64::Engine as _;
    let encoded = |file: String| -> Result<String, LocalNodeError> {
        Ok(base64::engine::general_purpose::STANDARD.encode(pki::read_pem(&layout.pki(&file))?))
    };
    Ok(Credentials {
        authority: ("certificate-authority-data", encoded("ca.crt".into())?),
        certificate: ("client-certificate-data", encoded(format!("{name}.crt"))?),
        key: ("client-key-data", encoded(format!("{name}.key"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostPrograms {
        HostPrograms {
            containerd: "/usr/bin/containerd".into(),
            ctr: "/usr/bin/ctr".into(),
            runc: "/usr/sbin/runc".into(),
            ip: "/usr/sbin/ip".into(),
            setsid: "/usr/bin/setsid".into(),
            iptables: "/usr/sbin/iptables".into(),
            cni_plugins: "/usr/lib/cni".into(),
        }
    }

    #[test]
    fn nothing_listens_beyond_the_node_and_nobody_is_anonymous() {
        let config = LocalNodeConfig::default();
        let layout = config.layout();
        let all: Vec<String> = Component::ALL.into_iter().flat_map(|c| arguments(&config, &layout, c)).collect();
        assert!(all.iter().all(|arg| !arg.contains("0.0.0.0")), "{all:?}");
        assert!(all.contains(&"--anonymous-auth=false".to_owned()));
        assert!(all.contains(&"--bind-address=10.99.0.1".to_owned()));
        assert!(all.contains(&"--listen-client-urls=https://127.0.0.1:2379".to_owned()));
        let kubelet = kubelet(&config, &layout, &Machine::example());
        assert_eq!(kubelet["address"], "10.99.0.1");
        assert_eq!(kubelet["authentication"]["anonymous"]["enabled"], false);
    }

    #[test]
    fn limits_are_lowered_only_where_they_cannot_be_raised() {
        let layout = LocalNodeConfig::default().layout();
        let mut machine = Machine { may_raise_limits: true, ..Machine::example() };
        let config = LocalNodeConfig::default();
        assert!(containerd(&layout, &machine, &host(), "p").contains("restrict_oom_score_adj = false"));
        assert!(kubelet(&config, &layout, &machine).get("oomScoreAdj").is_none());
        machine.may_raise_limits = false;
        assert!(containerd(&layout, &machine, &host(), "p").contains("restrict_oom_score_adj = true"));
        assert_eq!(kubelet(&config, &layout, &machine)["oomScoreAdj"], 0);
    }

    #[test]
    fn the_cgroup_driver_is_the_same_on_both_sides() {
        let config = LocalNodeConfig::default();
        let layout = config.layout();
        let machine = Machine { cgroup_driver: CgroupDriver::Systemd, ..Machine::example() };
        assert!(containerd(&layout, &machine, &host(), "p").contains("SystemdCgroup = true"));
        assert_eq!(kubelet(&config, &layout, &machine)["cgroupDriver"], "systemd");
        let machine = Machine { cgroup_driver: CgroupDriver::Cgroupfs, ..machine };
        assert!(containerd(&layout, &machine, &host(), "p").contains("SystemdCgroup = false"));
        assert_eq!(kubelet(&config, &layout, &machine)["cgroupRoot"], "/harmony-node-harmony");
    }
}
