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

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harmony_core::Context;
use harmony_core::outcome::{Action, Change};
use harmony_local::node::{Component, Health, Keep, LocalNode, LocalNodeError, RegistryTrust};
use harmony_types::{ImageRef, RegistryHost};

use support::{
    INSIDE, Setting, apply, config, eventually, image_layout, in_own_network, kill, kubectl,
    listening, marked, mode, node_program, others_in_this_namespace, pod, printed, processes_of,
    program, registry, registry_certificates, run, settings, this_test, timed, wait_for,
};

/// Set in a process that is going to be killed: what it is doing then.
const DOING: &str = "HARMONY_TEST_DOING";
const TO_BE_KILLED: &str = "a_run_that_is_killed_is_continued_by_the_next";

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
            pulls_from_a_trusted_registry(&ctx, &node);
            writes_an_audit_log(&node);
            heals(&ctx, &node, &before).await;
            leaves_nothing(&ctx, &node, before).await;
        },
    );
}

#[test]
fn a_run_that_is_killed_is_continued_by_the_next() {
    in_own_network(TO_BE_KILLED, config("b"), |node| async move {
        let (ctx, before) = (Context::new(), settings());
        match std::env::var(DOING).as_deref() {
            Ok("up") => return drop(node.up(&ctx).await.unwrap()),
            Ok(layout) => return drop(import(&ctx, &node, Path::new(layout)).await),
            Err(_) => {}
        }
        for milliseconds in [20, 60, 120, 250, 500, 1000, 2000, 3500] {
            start_and_kill("up", milliseconds);
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

        let folder = tempfile::tempdir().unwrap();
        let (layout, _) = image_layout(folder.path(), &node_program(&node));
        for milliseconds in [50, 150, 300, 450] {
            start_and_kill(layout.to_str().unwrap(), milliseconds);
        }
        import(&ctx, &node, &layout).await;
        let again = import(&ctx, &node, &layout).await;
        assert_eq!(again.action, Action::Unchanged);

        // Half of a node is as easy to remove as a whole one.
        kill(&node, &[Component::Containerd, Component::ApiServer]).await;
        leaves_nothing(&ctx, &node, before).await;
    });
}

async fn import(ctx: &Context, node: &LocalNode, layout: &Path) -> Change {
    let image = ImageRef::parse("registry.test/large:1").unwrap();
    let change = timed(
        "import of a large image",
        node.import_image(ctx, layout, &image),
    )
    .await;
    change.unwrap()
}

fn start_and_kill(doing: &str, milliseconds: u64) {
    let mut run = this_test(TO_BE_KILLED)
        .env(INSIDE, "1")
        .env(DOING, doing)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(milliseconds));
    run.kill().unwrap();
    run.wait().unwrap();
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

    let again = timed("up again", node.up(ctx)).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
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
    let planned = node
        .import_image(&ctx.planning(), &layout, &image)
        .await
        .unwrap();
    assert_eq!(planned.action, Action::Create);
    assert!(
        !node.has_image(&image).await.unwrap(),
        "planning writes nothing"
    );
    let change = timed("import", node.import_image(ctx, &layout, &image))
        .await
        .unwrap();
    assert_eq!(change.action, Action::Create);
    assert!(node.has_image(&image).await.unwrap());
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
    let version = kubectl(
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
    assert!(version.contains("v1.34"), "{version}");
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
fn pulls_from_a_trusted_registry(ctx: &Context, node: &LocalNode) {
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

async fn heals(ctx: &Context, node: &LocalNode, settings: &[Setting]) {
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
        let note = outcome.changes[0].note.clone().unwrap();
        let mut names: Vec<&str> = dead.iter().map(|component| component.as_str()).collect();
        if dead == [Component::Containerd] {
            names.push("kubelet");
        }
        assert_eq!(note, format!("start {}", names.join(", ")));
        assert_eq!(node.status().await.unwrap().health, Health::Ready);
        kubectl(node, &["get", "namespace", "kept"]);
    }
    as_after_a_reboot(node, settings).await;
    timed("up after a reboot", node.up(ctx)).await.unwrap();
    assert_eq!(node.status().await.unwrap().health, Health::Ready);
    kubectl(node, &["get", "namespace", "kept"]);
    // As after a change of the configuration: what is out of date is replaced, the rest goes on.
    let pids = |status: harmony_local::node::NodeStatus| {
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

/// No process, mount, address and rule, kernel settings as they were; the files, and a record of another boot.
async fn as_after_a_reboot(node: &LocalNode, settings: &[Setting]) {
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
    for (key, value) in settings {
        fs::write(key, value).unwrap();
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

async fn leaves_nothing(ctx: &Context, node: &LocalNode, before: Vec<Setting>) {
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
