//! What the tests of the local node stand on.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use harmony_core::Context;
use harmony_local::node::{Component, Keep, LocalNode, LocalNodeConfig};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Set in the process that runs in the namespace of the test.
pub(crate) const INSIDE: &str = "HARMONY_TEST_IN_NAMESPACE";

pub(crate) fn config(name: &str) -> LocalNodeConfig {
    LocalNodeConfig {
        name: format!("test-{name}"),
        state_dir: format!("/var/lib/harmony/test-node-{name}").into(),
        address: Ipv4Addr::new(10, 97, 0, 1),
        api_port: 16443,
        kubelet_port: 20250,
        etcd_client_port: 12379,
        etcd_peer_port: 12380,
        service_cidr: "10.98.0.0/20".parse().unwrap(),
        pod_cidr: "10.245.0.0/25".parse().unwrap(),
        ..LocalNodeConfig::default()
    }
}

/// Two nodes at once would take over the machine's kernel settings from one another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs the body in a namespace of its own, and removes the node whatever became of it.
pub(crate) fn in_own_network<F: Future<Output = ()>>(
    test: &str,
    config: LocalNodeConfig,
    body: impl FnOnce(LocalNode) -> F,
) {
    assert!(
        is_root(),
        "the local node needs root: run this test as root (it is `sudo -E cargo test ...` elsewhere)"
    );
    let node = LocalNode::new(config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if std::env::var_os(INSIDE).is_some() {
        runtime.block_on(body(node));
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let clean = || {
        runtime
            .block_on(node.down(&Context::new(), Keep::Nothing))
            .unwrap()
    };
    clean();
    let status = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("`unshare` is in the package util-linux");
    let left = clean();
    assert!(status.success(), "it failed inside, see above");
    assert!(left.is_unchanged());
}

pub(crate) fn this_test(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]);
    command
}

pub(crate) fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line.starts_with("Uid:\t0\t0"))
}

pub(crate) async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = work.await;
    eprintln!("{what}: {:.2} s", started.elapsed().as_secs_f64());
    done
}

pub(crate) fn eventually<T>(mut try_it: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let tried = try_it();
        if tried.is_some() || started.elapsed() > Duration::from_secs(60) {
            return tried;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub(crate) async fn kill(node: &LocalNode, components: &[Component]) {
    for one in node.status().await.unwrap().components {
        if components.contains(&one.component) {
            run(Command::new("kill").args(["-9", &one.pid.to_string()]));
        }
    }
    while node
        .status()
        .await
        .unwrap()
        .components
        .iter()
        .any(|one| components.contains(&one.component))
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn kubectl(node: &LocalNode, args: &[&str]) -> String {
    run(node.kubectl().unwrap().args(args))
}

pub(crate) fn apply(node: &LocalNode, object: &Value) {
    let mut kubectl = node
        .kubectl()
        .unwrap()
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    kubectl
        .stdin
        .take()
        .unwrap()
        .write_all(object.to_string().as_bytes())
        .unwrap();
    assert!(kubectl.wait().unwrap().success());
}

pub(crate) fn wait_for(node: &LocalNode, pod: &str, phase: &str) {
    let reached = eventually(|| {
        let now = kubectl(node, &["get", "pod", pod, "-o", "jsonpath={.status.phase}"]);
        (now == phase || now == "Failed").then_some(now)
    });
    if reached.as_deref() != Some(phase) {
        let logs = node
            .kubectl()
            .unwrap()
            .args(["logs", pod])
            .output()
            .unwrap();
        let logs = String::from_utf8_lossy(&logs.stdout).into_owned()
            + &String::from_utf8_lossy(&logs.stderr);
        panic!("{}\n{logs}", kubectl(node, &["describe", "pod", pod]));
    }
}

pub(crate) fn pod(name: &str, image: &str, program: &Path) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/localnode", "kubectl", "version"],
                // Instead of the addresses that the kubelet puts there.
                "env": [
                    { "name": "KUBERNETES_SERVICE_HOST", "value": "kubernetes.default.svc.cluster.local" },
                    { "name": "KUBERNETES_SERVICE_PORT", "value": "443" },
                ],
                "volumeMounts": [{ "name": "program", "mountPath": "/localnode" }],
            }],
            "volumes": [{ "name": "program", "hostPath": { "path": program, "type": "File" } }],
        },
    })
}

/// The folder of the node's programs.
pub(crate) fn program(node: &LocalNode) -> PathBuf {
    Path::new(node.kubectl().unwrap().get_program())
        .parent()
        .unwrap()
        .to_owned()
}

pub(crate) fn node_program(node: &LocalNode) -> PathBuf {
    program(node).join("localnode")
}

/// An OCI image layout of one file, and the digest of its manifest.
pub(crate) fn image_layout(folder: &Path, file: &Path) -> (PathBuf, String) {
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let store = |content: &[u8]| {
        let hex = Sha256::digest(content)
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        fs::write(blobs.join(&hex), content).unwrap();
        json!({ "digest": format!("sha256:{hex}"), "size": content.len() })
    };
    let typed = |mut descriptor: Value, media_type: &str| {
        descriptor["mediaType"] = json!(format!("application/vnd.oci.image.{media_type}"));
        descriptor
    };
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(file, "app").unwrap();
    let layer = typed(store(&tar.into_inner().unwrap()), "layer.v1.tar");
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = typed(store(config.to_string().as_bytes()), "config.v1+json");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let manifest = typed(store(manifest.to_string().as_bytes()), "manifest.v1+json");
    let digest = manifest["digest"].as_str().unwrap().to_owned();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    (layout, digest)
}

/// Writes `ca.crt`, `tls.crt` and `tls.key`; returns the authority.
pub(crate) fn registry_certificates(folder: &Path) -> String {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    params
        .subject_alt_names
        .push(rcgen::SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    fs::write(folder.join("ca.crt"), &ca).unwrap();
    fs::write(folder.join("tls.crt"), certificate).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    ca
}

pub(crate) struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn registry(folder: &Path, port: u16) -> Registry {
    let shown = folder.display();
    let config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {shown}/data}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\", tls: {{certificate: {shown}/tls.crt, key: {shown}/tls.key}}}}\n"
    );
    let path = folder.join("registry.yml");
    fs::write(&path, config).unwrap();
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect(
            "`docker-registry` is Debian's package of that name: apt-get install docker-registry",
        );
    Registry(child)
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn printed(program: &str, args: &[&str]) -> String {
    run(Command::new(program).args(args))
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A file below `/proc/sys` and what is in it.
pub(crate) type Setting = (PathBuf, String);

/// What starting a node changes of the kernel's settings, as it is now.
pub(crate) fn settings() -> Vec<Setting> {
    [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/route_localnet",
        "vm/overcommit_memory",
        "kernel/panic",
        "kernel/panic_on_oops",
    ]
    .iter()
    .map(|key| {
        let path = Path::new("/proc/sys").join(key);
        let value = fs::read_to_string(&path).unwrap();
        (path, value)
    })
    .collect()
}

/// What listens on IPv4 in this namespace; nothing may listen on IPv6.
pub(crate) fn listening() -> Vec<(Ipv4Addr, u16)> {
    let rows = |path: &str| {
        let table = fs::read_to_string(path).unwrap();
        let listening = table
            .lines()
            .skip(1)
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        listening
            .filter(|row| row[3] == "0A")
            .map(|row| row[1].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows("/proc/net/tcp6"), Vec::<String>::new());
    rows("/proc/net/tcp")
        .iter()
        .map(|row| {
            let (address, port) = row.split_once(':').unwrap();
            let address = Ipv4Addr::from(u32::from_str_radix(address, 16).unwrap().to_ne_bytes());
            (address, u16::from_str_radix(port, 16).unwrap())
        })
        .collect()
}

/// The sessions that were started for that node.
pub(crate) fn processes_of(config: &LocalNodeConfig) -> Vec<i32> {
    let leads_a_session = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_ascii_whitespace()
            .collect();
        fields.first() != Some(&"Z") && fields.get(3) == Some(&pid.to_string().as_str())
    };
    marked(config).into_iter().filter(leads_a_session).collect()
}

/// Every process that was started for that node, and its children.
pub(crate) fn marked(config: &LocalNodeConfig) -> Vec<i32> {
    let mark = format!("HARMONY_NODE={}\0", config.state_dir.display());
    all_pids()
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environ).contains(&mark)
        })
        .collect()
}

pub(crate) fn others_in_this_namespace() -> Vec<String> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let here = namespace("self");
    let own = i32::try_from(std::process::id()).unwrap();
    all_pids()
        .filter(|pid| *pid != own && namespace(&pid.to_string()) == here)
        .map(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .unwrap_or_default()
                .replace('\0', " ")
        })
        .filter(|command| !command.is_empty())
        .collect()
}

pub(crate) fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
