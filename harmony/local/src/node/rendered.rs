//! The files of the components, rendered from the configuration and the properties of the machine. Pure except for the
//! certificates that are embedded in the admin kubeconfig.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::component::Component;
use super::config::{Layout, LocalNodeConfig};
use super::error::LocalNodeError;
use super::files::Access;
use super::inputs::Inputs;
use super::machine::{CgroupDriver, Machine};
use super::packages::HostPrograms;
use super::pki;

/// All files with their content.
pub(super) fn files(
    inputs: Inputs<'_>,
    layout: &Layout,
) -> Result<Vec<(PathBuf, String, Access)>, LocalNodeError> {
    let Inputs {
        config,
        machine,
        host,
        pause_image,
        ..
    } = inputs;
    let mut files = vec![
        (
            layout.config("audit-policy.json"),
            pretty(&audit_policy()),
            Access::Public,
        ),
        (
            layout.config("kubelet.json"),
            pretty(&kubelet(config, layout, machine)),
            Access::Public,
        ),
        (
            layout.config("kube-proxy.json"),
            pretty(&kube_proxy(config, layout, machine)),
            Access::Public,
        ),
        (
            layout.config("resolv.conf"),
            machine.resolv_conf.clone(),
            Access::Public,
        ),
        (
            layout.config("containerd.toml"),
            containerd(layout, machine, host, pause_image),
            Access::Public,
        ),
        (
            layout.cni_config_dir().join("10-harmony.conflist"),
            pretty(&cni(config, layout)),
            Access::Public,
        ),
        (
            layout.kubeconfig("admin"),
            pretty(&kubeconfig(config, &embedded_credentials(layout, "admin")?)),
            Access::Secret,
        ),
    ];
    for component in [
        Component::ControllerManager,
        Component::Scheduler,
        Component::Kubelet,
        Component::Proxy,
    ] {
        let name = component.as_str();
        let content = pretty(&kubeconfig(config, &credential_files(layout, name)));
        files.push((layout.kubeconfig(name), content, Access::Secret));
    }
    Ok(files)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Logs all writes that are not made by the system's own components, without their bodies, so that the log is small and
/// shows who changed what.
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
        CgroupDriver::Cgroupfs => (
            "cgroupfs",
            format!("/{}", Machine::cgroup_name(&config.name)),
        ),
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
        // The disk of a laptop is usually quite full, so only the last percent counts.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "0%",
        },
        // Imported images exist nowhere else, so they must never be collected.
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
        // Node ports open on the node's own address, which only this machine can reach.
        "nodePortAddresses": [format!("{}/32", config.address)],
        "iptables": { "localhostNodePorts": false, "minSyncPeriod": "100ms" },
        // The connection table belongs to the machine and must not be resized.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    });
    if let (Some(map), false) = (value.as_object_mut(), machine.may_raise_limits) {
        map.insert("oomScoreAdj".into(), json!(0));
    }
    value
}

/// Pods are connected by point-to-point links and not by a bridge. So every packet between them is routed and passes
/// the packet filter without the bridge netfilter module, and no link is left behind when the last pod is gone.
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

/// Version 2 of the format works with every containerd from 1.3 to 2.x.
fn containerd(
    layout: &Layout,
    machine: &Machine,
    host: &HostPrograms,
    pause_image: &str,
) -> String {
    // The escapes of JSON are a subset of those of TOML.
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

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = {runc}
      Root = {runc_root}
      SystemdCgroup = {systemd}
"#,
        snapshotter = machine.snapshotter,
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

/// Kubeconfig fields and their values.
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

/// For the admin kubeconfig, which contains the credentials so that it can be copied.
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
    fn the_kubelet_serves_the_node_and_nobody_anonymous() {
        let config = LocalNodeConfig::default();
        let kubelet = kubelet(&config, &config.layout(), &Machine::example());
        assert_eq!(kubelet["address"], "10.99.0.1");
        assert_eq!(kubelet["authentication"]["anonymous"]["enabled"], false);
    }

    #[test]
    fn limits_are_lowered_only_where_they_cannot_be_raised() {
        let layout = LocalNodeConfig::default().layout();
        let mut machine = Machine {
            may_raise_limits: true,
            ..Machine::example()
        };
        let config = LocalNodeConfig::default();
        assert!(
            containerd(&layout, &machine, &host(), "p").contains("restrict_oom_score_adj = false")
        );
        assert!(
            kubelet(&config, &layout, &machine)
                .get("oomScoreAdj")
                .is_none()
        );
        machine.may_raise_limits = false;
        assert!(
            containerd(&layout, &machine, &host(), "p").contains("restrict_oom_score_adj = true")
        );
        assert_eq!(kubelet(&config, &layout, &machine)["oomScoreAdj"], 0);
    }

    #[test]
    fn the_cgroup_driver_is_the_same_on_both_sides() {
        let config = LocalNodeConfig::default();
        let layout = config.layout();
        let machine = Machine {
            cgroup_driver: CgroupDriver::Systemd,
            ..Machine::example()
        };
        assert!(containerd(&layout, &machine, &host(), "p").contains("SystemdCgroup = true"));
        assert_eq!(
            kubelet(&config, &layout, &machine)["cgroupDriver"],
            "systemd"
        );
        let machine = Machine {
            cgroup_driver: CgroupDriver::Cgroupfs,
            ..machine
        };
        assert!(containerd(&layout, &machine, &host(), "p").contains("SystemdCgroup = false"));
        assert_eq!(
            kubelet(&config, &layout, &machine)["cgroupRoot"],
            "/harmony-node-harmony"
        );
    }
}
