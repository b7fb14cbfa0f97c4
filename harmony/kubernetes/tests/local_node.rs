//! The local node, for real: it needs root, and the first time some minutes to build the node's program.
//!
//! Each test starts itself again in a network namespace of its own, so that the packet filter, addresses and ports
//! of the machine (and of a node that runs on it) are not touched, and so that whatever is left in that namespace at
//! the end is the node's fault.
#![expect(clippy::print_stderr, reason = "the times it takes are worth reading")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harmony_core::Context;
use harmony_core::outcome::Action;
use harmony_kubernetes::local::node::{
    Component, Health, Keep, LocalNode, LocalNodeConfig, LocalNodeError, RegistryTrust,
};
use harmony_types::{ImageRef, RegistryHost};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const INSIDE: &str = "HARMONY_TEST_IN_NAMESPACE";
const UP_AND_NOTHING_ELSE: &str = "HARMONY_TEST_JUST_UP";

#[test]
fn a_node_comes_up_heals_and_leaves_nothing() {
    in_own_network(
        "a_node_comes_up_heals_and_leaves_nothing",
        config("a"),
        |node| async move {
            let (ctx, before) = (Context::new(), settings());
            comes_up(&ctx, &node).await;
            keeps_to_itself(&node).await;
            runs_an_imported_image(&ctx, &node).await;
            serves_logs_exec_and_port_forward(&node);
            pulls_from_a_trusted_registry(&ctx, &node).await;
            writes_an_audit_log(&node);
            heals(&ctx, &node).await;
            leaves_nothing(&ctx, &node, before).await;
        },
    );
}

#[test]
fn a_run_that_is_killed_is_continued_by_the_next() {
    in_own_network(
        "a_run_that_is_killed_is_continued_by_the_next",
        config("b"),
        |node| async move {
            let (ctx, before) = (Context::new(), settings());
            if std::env::var_os(UP_AND_NOTHING_ELSE).is_some() {
                node.up(&ctx).await.unwrap();
                return;
            }
            for milliseconds in [20, 60, 120, 250, 500, 1000, 2000, 3500] {
                let mut run = this_test("a_run_that_is_killed_is_continued_by_the_next")
                    .env(INSIDE, "1")
                    .env(UP_AND_NOTHING_ELSE, "1")
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::sleep(Duration::from_millis(milliseconds));
                run.kill().unwrap();
                run.wait().unwrap();
            }
            let (one, two) = tokio::join!(node.up(&ctx), node.up(&ctx));
            let (one, two) = (one.unwrap(), two.unwrap());
            assert!(
                one.is_unchanged() || two.is_unchanged(),
                "only one of two at once does something"
            );
            assert_eq!(node.status().await.unwrap().health, Health::Ready);
            let leaders = processes_of(node.config());
            assert_eq!(
                leaders.len(),
                Component::ALL.len(),
                "each component runs once: {leaders:?}"
            );

            // Half of a node is as easy to remove as a whole one.
            kill(&node, &[Component::Containerd, Component::ApiServer]).await;
            leaves_nothing(&ctx, &node, before).await;
        },
    );
}

async fn comes_up(ctx: &Context, node: &LocalNode) {
    let planned = node.up(&ctx.planning()).await.unwrap();
    assert!(!planned.is_unchanged());
    assert!(!node.config().state_dir.exists(), "planning writes nothing");
    assert_eq!(node.status().await.unwrap().health, Health::Down);
    let image = ImageRef::parse("example.com/app:1").unwrap();
    let refused = node.import_image(ctx, Path::new("/"), &image).await;
    assert!(
        matches!(refused, Err(LocalNodeError::NotRunning)),
        "{refused:?}"
    );

    // The program is built first, so that the time below is that of a start.
    let outcome = timed("up", node.up(ctx)).await.unwrap();
    assert_eq!(outcome.changes[0].action, Action::Create);
    let status = node.status().await.unwrap();
    assert_eq!(status.health, Health::Ready);
    assert_eq!(status.components.len(), Component::ALL.len());
    eprintln!("resident: {} MiB", status.rss_kib() / 1024);
    assert!(status.rss_kib() < 2 * 1024 * 1024);

    let started = Instant::now();
    let again = timed("up again", node.up(ctx)).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(node.up(&ctx.planning()).await.unwrap().is_unchanged());
}

async fn keeps_to_itself(node: &LocalNode) {
    let config = node.config();
    for (address, port) in listening() {
        assert!(
            address.is_loopback() || address == config.address,
            "something listens on {address}:{port}"
        );
    }
    for folder in ["pki", "config"] {
        for entry in fs::read_dir(config.state_dir.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let secret = path
                .extension()
                .is_some_and(|extension| extension == "key" || extension == "kubeconfig");
            if secret {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
    assert_eq!(mode(&config.state_dir), 0o700);
    let uri = format!("https://{}:{}", config.address, config.api_port)
        .parse()
        .unwrap();
    let mut nobody = kube::Config::new(uri);
    nobody.accept_invalid_certs = true;
    let nobody = kube::Client::try_from(nobody).unwrap();
    for path in ["/version", "/readyz", "/api/v1/namespaces"] {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        match nobody.request_text(request).await {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, 401, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// The pod asks the API server by its DNS name, with its own service account: images, mounts, names, Service
/// addresses and tokens all work, or it does not finish.
async fn runs_an_imported_image(ctx: &Context, node: &LocalNode) {
    let folder = tempfile::tempdir().unwrap();
    let (layout, digest) = image_layout(folder.path(), &program(node).join("pause"));
    let image = ImageRef::parse("registry.test/team/app:1.2.3").unwrap();
    let change = timed("import", node.import_image(ctx, &layout, &image))
        .await
        .unwrap();
    assert_eq!(change.action, Action::Create);
    let again = node.import_image(ctx, &layout, &image).await.unwrap();
    assert_eq!(again.action, Action::Unchanged);
    let archive = folder.path().join("layout.tar");
    run(Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(&layout)
        .arg("."));
    let as_archive = node.import_image(ctx, &archive, &image).await.unwrap();
    assert_eq!(
        as_archive.action,
        Action::Unchanged,
        "a folder and its archive are the same image"
    );
    let other =
        ImageRef::parse(format!("registry.test/team/app@sha256:{}", "0".repeat(64))).unwrap();
    let refused = node.import_image(ctx, &layout, &other).await;
    assert!(
        matches!(refused, Err(LocalNodeError::Archive { .. })),
        "{refused:?}"
    );

    let pod = pod(
        "asks",
        &format!("registry.test/team/app@{digest}"),
        &node_program(node),
    );
    apply(node, &pod);
    wait_for(node, "asks", "Succeeded");
    let logs = kubectl(node, &["logs", "asks"]);
    assert!(logs.contains("v1.34"), "{logs}");
}

fn serves_logs_exec_and_port_forward(node: &LocalNode) {
    let dns = ["-n", "kube-system", "deploy/coredns"];
    assert!(kubectl(node, &["logs", dns[0], dns[1], dns[2]]).contains("CoreDNS"));
    let said = kubectl(
        node,
        &[
            "exec",
            dns[0],
            dns[1],
            dns[2],
            "--",
            "/localnode",
            "kubectl",
            "version",
            "--client",
        ],
    );
    assert!(said.contains("v1.34"), "{said}");
    let mut forward = node
        .kubectl()
        .unwrap()
        .args(["port-forward", dns[0], dns[1], dns[2], "18181:8181"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answer = eventually(|| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 18181)).ok()?;
        stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.0 200").then_some(answer)
    });
    forward.kill().unwrap();
    forward.wait().unwrap();
    assert!(answer.is_some(), "port-forward does not answer");
}

/// A registry with an authority of its own, trusted while the node runs.
async fn pulls_from_a_trusted_registry(ctx: &Context, node: &LocalNode) {
    const PORT: u16 = 25443;
    let folder = tempfile::tempdir().unwrap();
    let ca = registry_certificates(folder.path());
    let _registry = registry(folder.path(), PORT);
    let host = format!("127.0.0.1:{PORT}");
    let socket = node.config().state_dir.join("run/containerd.sock");
    let ctr = |args: &[&str]| {
        run(Command::new("ctr")
            .arg("--address")
            .arg(&socket)
            .args(["-n", "k8s.io"])
            .args(args));
    };
    let (local, remote) = ("registry.test/team/app:1.2.3", format!("{host}/app:1"));
    let hosts = folder.path().join("hosts").display().to_string();
    fs::create_dir_all(format!("{hosts}/{host}")).unwrap();
    let server = format!(
        "[host.\"https://{host}\"]\ncapabilities = [\"push\", \"pull\", \"resolve\"]\nca = \"{}/ca.crt\"\n",
        folder.path().display()
    );
    fs::write(format!("{hosts}/{host}/hosts.toml"), server).unwrap();
    eventually(|| TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).ok()).unwrap();
    ctr(&["images", "push", "--hosts-dir", &hosts, &remote, local]);

    apply(node, &pod("untrusted", &remote, &node_program(node)));
    let refused = eventually(|| {
        let events = kubectl(
            node,
            &["get", "events", "-o", "jsonpath={.items[*].message}"],
        );
        events
            .contains(&format!("Failed to pull image \"{remote}\""))
            .then_some(())
    });
    assert!(refused.is_some(), "an unknown authority is not trusted");

    let registry_host = RegistryHost::parse(&host).unwrap();
    let trust = RegistryTrust::Authority(ca);
    let planned = node
        .trust_registry(&ctx.planning(), &registry_host, &trust)
        .unwrap();
    assert_eq!(planned.action, Action::Update);
    assert_eq!(
        node.trust_registry(ctx, &registry_host, &trust)
            .unwrap()
            .action,
        Action::Update
    );
    assert_eq!(
        node.trust_registry(ctx, &registry_host, &trust)
            .unwrap()
            .action,
        Action::Unchanged
    );
    apply(node, &pod("trusted", &remote, &node_program(node)));
    wait_for(node, "trusted", "Succeeded");
    let open = RegistryHost::parse("registry.example.com").unwrap();
    assert!(
        node.trust_registry(ctx, &open, &RegistryTrust::PlainHttp)
            .is_err()
    );
}

fn writes_an_audit_log(node: &LocalNode) {
    let log = || fs::read_to_string(node.audit_log()).unwrap();
    assert!(log().contains(r#""namespace":"default","name":"asks""#));
    let before = log().len();
    kubectl(node, &["get", "pods", "-A"]);
    assert!(
        !log()[before..].contains("/pods?"),
        "reads are not written down"
    );
}

async fn heals(ctx: &Context, node: &LocalNode) {
    kubectl(node, &["create", "namespace", "kept"]);
    for dead in [
        vec![Component::Kubelet],
        vec![Component::Containerd],
        vec![Component::Etcd],
        Component::ALL.into(),
    ] {
        kill(node, &dead).await;
        assert_eq!(
            node.status().await.unwrap().health,
            if dead.len() == Component::ALL.len() {
                Health::Down
            } else {
                Health::Incomplete(dead.clone())
            }
        );
        let outcome = timed(
            &format!("up after the death of {}", dead.len()),
            node.up(ctx),
        )
        .await
        .unwrap();
        let told = outcome.changes[0].note.clone().unwrap();
        let mut names: Vec<&str> = dead.iter().map(|component| component.as_str()).collect();
        if dead == [Component::Containerd] {
            names.push("kubelet");
        }
        assert_eq!(told, format!("start {}", names.join(", ")));
        assert_eq!(node.status().await.unwrap().health, Health::Ready);
        kubectl(node, &["get", "namespace", "kept"]);
    }
    as_after_a_reboot(node).await;
    timed("up after a reboot", node.up(ctx)).await.unwrap();
    assert_eq!(node.status().await.unwrap().health, Health::Ready);
    kubectl(node, &["get", "namespace", "kept"]);
    // As after a change of the configuration: what is out of date is replaced, the rest goes on.
    let pids = |status: harmony_kubernetes::local::node::NodeStatus| {
        status
            .components
            .into_iter()
            .map(|one| (one.component, one.pid))
            .collect::<Vec<_>>()
    };
    let before = pids(node.status().await.unwrap());
    fs::remove_file(node.config().state_dir.join("pki/kube-proxy.crt")).unwrap();
    timed("up with a new certificate", node.up(ctx))
        .await
        .unwrap();
    let after = pids(node.status().await.unwrap());
    let replaced: Vec<_> = after
        .iter()
        .filter(|one| !before.contains(one))
        .map(|one| one.0)
        .collect();
    assert_eq!(replaced, [Component::Proxy]);
}

/// No process, mount, address and rule; the files, and a record of another boot.
async fn as_after_a_reboot(node: &LocalNode) {
    let config = node.config();
    kill(node, &Component::ALL).await;
    let group = format!("harmony-node-{}", config.name);
    let pods = printed(
        "sh",
        &[
            "-c",
            &format!("find /sys/fs/cgroup -path '*{group}*' -name cgroup.procs -exec cat {{}} +"),
        ],
    );
    for pid in pods
        .lines()
        .map(str::to_owned)
        .chain(marked(config).iter().map(ToString::to_string))
    {
        let _ = Command::new("kill")
            .args(["-9", &pid])
            .stderr(Stdio::null())
            .status();
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let targets: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    for target in targets
        .iter()
        .rev()
        .filter(|target| target.starts_with(config.state_dir.to_str().unwrap()))
    {
        run(Command::new("umount").args(["--lazy", target]));
    }
    printed("ip", &["addr", "flush", "dev", "lo"]);
    printed("ip", &["link", "set", "lo", "down"]);
    printed("ip", &["route", "flush", "table", "main"]);
    for table in ["nat", "filter", "mangle"] {
        printed("iptables", &["-w", "-t", table, "-F"]);
        printed("iptables", &["-w", "-t", table, "-X"]);
    }
    let record = config.state_dir.join("run/machine.json");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&record).unwrap();
    assert!(text.contains(boot.trim()));
    fs::write(
        &record,
        text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000"),
    )
    .unwrap();
}

async fn leaves_nothing(ctx: &Context, node: &LocalNode, before: Vec<String>) {
    let config = node.config();
    let planned = node.down(&ctx.planning(), Keep::State).await.unwrap();
    assert!(!planned.is_unchanged());
    timed("down", node.down(ctx, Keep::State)).await.unwrap();
    assert!(config.state_dir.join("etcd").exists(), "the state stays");
    assert_eq!(node.status().await.unwrap().health, Health::Down);
    assert_eq!(processes_of(config), Vec::<i32>::new());
    assert_eq!(others_in_this_namespace(), Vec::<String>::new());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(config.state_dir.to_str().unwrap()),
        "{mounts}"
    );
    assert_eq!(
        printed("ip", &["-o", "link"]).lines().count(),
        1,
        "only lo is left"
    );
    assert!(!printed("ip", &["addr"]).contains(&config.address.to_string()));
    assert_eq!(printed("ip", &["route", "show", "table", "main"]), "");
    for save in ["iptables-save", "ip6tables-save"] {
        let rules = printed(save, &[]);
        for ours in ["KUBE-", "HARMONY", "CNI-"] {
            assert!(!rules.contains(ours), "{rules}");
        }
    }
    let groups = fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for group in groups.chain(["/sys/fs/cgroup".into()]) {
        let ours = group.join(format!("harmony-node-{}", config.name));
        assert!(!ours.exists(), "{}", ours.display());
    }
    assert_eq!(settings(), before, "kernel settings are as they were");

    assert!(node.down(ctx, Keep::State).await.unwrap().is_unchanged());
    timed("purge", node.down(ctx, Keep::Nothing)).await.unwrap();
    assert!(!config.state_dir.exists());
    let lock = format!("{}.lock", config.state_dir.display());
    assert!(!Path::new(&lock).exists());
}

// What the tests stand on.

fn config(name: &str) -> LocalNodeConfig {
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

/// Runs the body in a namespace of its own, and removes the node whatever became of it.
fn in_own_network<F: Future<Output = ()>>(
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

fn this_test(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]);
    command
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line.starts_with("Uid:\t0\t0"))
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = work.await;
    eprintln!("{what}: {:.2} s", started.elapsed().as_secs_f64());
    done
}

fn eventually<T>(mut try_it: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let tried = try_it();
        if tried.is_some() || started.elapsed() > Duration::from_secs(60) {
            return tried;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

async fn kill(node: &LocalNode, components: &[Component]) {
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

fn kubectl(node: &LocalNode, args: &[&str]) -> String {
    run(node.kubectl().unwrap().args(args))
}

fn apply(node: &LocalNode, object: &Value) {
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

fn wait_for(node: &LocalNode, pod: &str, phase: &str) {
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

fn pod(name: &str, image: &str, program: &Path) -> Value {
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
fn program(node: &LocalNode) -> PathBuf {
    Path::new(node.kubectl().unwrap().get_program())
        .parent()
        .unwrap()
        .to_owned()
}

fn node_program(node: &LocalNode) -> PathBuf {
    program(node).join("localnode")
}

/// An OCI image layout of one file, and the digest of its manifest.
fn image_layout(folder: &Path, file: &Path) -> (PathBuf, String) {
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let store = |content: &[u8]| {
        let hex: String = Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
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
fn registry_certificates(folder: &Path) -> String {
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

struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn registry(folder: &Path, port: u16) -> Registry {
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

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn printed(program: &str, args: &[&str]) -> String {
    run(Command::new(program).args(args))
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn settings() -> Vec<String> {
    [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/route_localnet",
        "vm/overcommit_memory",
        "kernel/panic",
    ]
    .iter()
    .map(|key| fs::read_to_string(Path::new("/proc/sys").join(key)).unwrap())
    .collect()
}

/// What listens on IPv4 in this namespace; nothing may listen on IPv6.
fn listening() -> Vec<(Ipv4Addr, u16)> {
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
fn processes_of(config: &LocalNodeConfig) -> Vec<i32> {
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
fn marked(config: &LocalNodeConfig) -> Vec<i32> {
    let mark = format!("HARMONY_NODE={}\0", config.state_dir.display());
    all_pids()
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environ).contains(&mark)
        })
        .collect()
}

fn others_in_this_namespace() -> Vec<String> {
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

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
