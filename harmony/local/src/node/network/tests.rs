use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::node::packages;

#[test]
fn nothing_is_written_when_all_rules_are_there() {
    let config = LocalNodeConfig::default();
    let wanted = |config: &LocalNodeConfig| wanted_rules(config, Sources::Checked);
    let saved = "\
*raw
:PREROUTING ACCEPT [0:0]
:HARMONY-NODE - [0:0]
-A PREROUTING -j HARMONY-NODE
-A PREROUTING -j OTHERS
-A HARMONY-NODE -s 10.244.0.0/24 -m rpfilter -j RETURN
-A HARMONY-NODE -d 10.99.0.1/32 ! -i lo -j DROP
-A HARMONY-NODE -d 10.96.0.0/16 ! -i lo -j DROP
-A HARMONY-NODE -d 10.244.0.0/24 ! -i lo -j DROP
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:HARMONY-NODE - [0:0]
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A POSTROUTING -j HARMONY-NODE
-A HARMONY-NODE -s 10.244.0.0/24 ! -d 10.244.0.0/24 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
:HARMONY-NODE - [0:0]
-A FORWARD -j HARMONY-NODE
-A HARMONY-NODE -s 10.244.0.0/24 -j ACCEPT
-A HARMONY-NODE -d 10.244.0.0/24 -j ACCEPT
COMMIT
";
    assert_eq!(missing_rules(saved, &wanted(&config)), None);
    let moved = LocalNodeConfig {
        pod_cidr: "10.245.0.0/24".parse().unwrap(),
        ..config.clone()
    };
    let other_range = missing_rules(saved, &wanted(&moved)).unwrap();
    assert!(
        !other_range.contains("FORWARD") && !other_range.contains("PREROUTING"),
        "a jump is not repeated: {other_range}"
    );
    assert!(
        other_range.contains(":HARMONY-NODE - [0:0]\n-A HARMONY-NODE -s 10.245.0.0/24 -j ACCEPT")
    );
    let all = missing_rules("", &wanted(&config)).unwrap();
    assert!(all.contains("-A POSTROUTING -j HARMONY-NODE\nCOMMIT"));
    assert!(all.contains("-I PREROUTING -j HARMONY-NODE\nCOMMIT"));
    let second = saved.replace(
        "-A PREROUTING -j HARMONY-NODE\n-A PREROUTING -j OTHERS",
        "-A PREROUTING -j OTHERS\n-A PREROUTING -j HARMONY-NODE",
    );
    assert!(
        missing_rules(&second, &wanted(&config))
            .unwrap()
            .contains("-D PREROUTING -j HARMONY-NODE\n-I PREROUTING -j HARMONY-NODE\nCOMMIT"),
        "another rule came before ours"
    );
}

#[test]
fn who_came_later_and_may_need_forwarding_is_found() {
    let links =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let ours = "\
*nat
-A POSTROUTING -j HARMONY-NODE
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
COMMIT
*filter
-A FORWARD -j HARMONY-NODE
COMMIT
";
    let before = forwarding_users(ours, &links(&["lo", "eth0"]));
    assert_eq!(before, BTreeSet::from(["link eth0".to_owned()]));
    let docker = ours.replace(
        "-A FORWARD -j HARMONY-NODE",
        "-A FORWARD -j HARMONY-NODE\n-A FORWARD -j DOCKER-USER",
    );
    for now in [
        forwarding_users(&docker, &links(&["lo", "eth0"])),
        forwarding_users(ours, &links(&["lo", "eth0", "docker0"])),
    ] {
        assert_eq!(now.difference(&before).count(), 1);
    }
}

#[test]
fn removal_leaves_the_rules_of_others() {
    let saved = "\
# Generated
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:HARMONY-NODE - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-X - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-DN-ours - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -j HARMONY-NODE
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-X
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"harmony-pods\\\" id: \\\"x\\\"\" -j CNI-DN-ours
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
COMMIT
";
    assert_eq!(
        removal(saved),
        "\
*nat
:HARMONY-NODE - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-X - [0:0]
:CNI-DN-ours - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-D POSTROUTING -j HARMONY-NODE
-X HARMONY-NODE
-X KUBE-SERVICES
-X KUBE-SVC-X
-X CNI-DN-ours
-X CNI-HOSTPORT-DNAT
COMMIT
"
    );
    let shared = saved.replace(":CNI-DN-ours", ":CNI-DN-other - [0:0]\n:CNI-DN-ours");
    assert!(
        !removal(&shared).contains("-X CNI-HOSTPORT-DNAT"),
        "another network still maps ports"
    );
    assert_eq!(removal("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"), "");
}

/// Set in the processes that play the roles of `other_hosts_reach_neither_node_nor_services_nor_pods`.
const PART: &str = "HARMONY_TEST_PART";
const OUTSIDE_TEST: &str =
    "node::network::tests::other_hosts_reach_neither_node_nor_services_nor_pods";

/// The machine, a pod and another host on the network, each in a network namespace, with a real packet filter.
#[test]
fn other_hosts_reach_neither_node_nor_services_nor_pods() {
    match std::env::var(PART).as_deref() {
        Ok("machine") => as_machine(),
        Ok(part) => {
            if let Some(address) = part.strip_prefix("connect ") {
                let wait = Duration::from_millis(700);
                TcpStream::connect_timeout(&address.parse().unwrap(), wait).unwrap();
            } else {
                listen(part.strip_prefix("listen ").unwrap());
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        Err(_) => {
            let mut machine = Command::new("unshare");
            machine.args(["--map-root-user", "--net", "--"]);
            let status = this_test(machine, "machine").status();
            assert!(status.unwrap().success(), "it failed inside, see above");
        }
    }
}

fn this_test(mut inside: Command, part: &str) -> Command {
    inside
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", OUTSIDE_TEST, "--nocapture"])
        .env(PART, part);
    inside
}

fn listen(address: &str) {
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || for _ in listener.incoming() {});
}

/// A network namespace that exists as long as this value.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let mut child = Command::new("unshare");
        child.args(["--net", "--", "sh", "-c", "echo ready; exec sleep 60"]);
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Self(child)
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id()));
        command.arg("--");
        command
    }

    fn ip(&self, args: &str) {
        let mut command = self.enter();
        assert!(
            command
                .arg("ip")
                .args(args.split(' '))
                .status()
                .unwrap()
                .success(),
            "{args}"
        );
    }

    fn connects(&self, address: &str) -> bool {
        let output = this_test(self.enter(), &format!("connect {address}")).output();
        output.unwrap().status.success()
    }

    fn listens(&self, address: &str) -> Listening {
        let mut listen = this_test(self.enter(), &format!("listen {address}"));
        Listening(listen.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Listening(Child);

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(args: &str) {
    let status = Command::new("ip").args(args.split(' ')).status().unwrap();
    assert!(status.success(), "ip {args}");
}

fn as_machine() {
    const NODE: &str = "10.97.0.1:16443";
    const POD: &str = "10.245.0.2:8222";
    const SERVICE: &str = "10.98.0.1:443";
    const OTHER_HOST: &str = "198.51.100.2:80";
    let folder = tempfile::tempdir().unwrap();
    let config = LocalNodeConfig {
        state_dir: folder.path().to_owned(),
        address: "10.97.0.1".parse().unwrap(),
        service_cidr: "10.98.0.0/20".parse().unwrap(),
        pod_cidr: "10.245.0.0/25".parse().unwrap(),
        ..LocalNodeConfig::default()
    };
    let host = packages::find_installed().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(ensure(&config, &Machine::example(), &host))
        .unwrap();

    let (pod, other) = (Namespace::new(), Namespace::new());
    ip(&format!(
        "link add vethpod type veth peer name eth0 netns {}",
        pod.0.id()
    ));
    ip("addr add 10.245.0.1/32 dev vethpod");
    ip("link set vethpod up");
    ip("route add 10.245.0.2/32 dev vethpod");
    pod.ip("addr add 10.245.0.2/32 dev eth0");
    pod.ip("link set lo up");
    pod.ip("link set eth0 up");
    pod.ip("route add 10.245.0.1/32 dev eth0");
    pod.ip("route add default via 10.245.0.1");
    ip(&format!(
        "link add lan type veth peer name eth0 netns {}",
        other.0.id()
    ));
    ip("addr add 198.51.100.1/24 dev lan");
    ip("link set lan up");
    other.ip("addr add 198.51.100.2/24 dev eth0");
    other.ip("link set lo up");
    other.ip("link set eth0 up");
    for range in ["10.97.0.1/32", "10.98.0.0/20", "10.245.0.0/25"] {
        other.ip(&format!("route add {range} via 198.51.100.1"));
    }
    // As kube-proxy does it.
    for chain in ["PREROUTING", "OUTPUT"] {
        let status = Command::new(&host.iptables)
            .args(["-t", "nat", "-A", chain, "-d", "10.98.0.1", "-p", "tcp"])
            .args(["-j", "DNAT", "--to-destination", NODE])
            .status();
        assert!(status.unwrap().success());
    }
    listen(NODE);
    listen("198.51.100.1:81");
    let _pod = pod.listens(POD);
    let _other = other.listens(OTHER_HOST);

    let reached = |address: &str| {
        let wait = Duration::from_millis(500);
        TcpStream::connect_timeout(&address.parse().unwrap(), wait).is_ok()
    };
    let started = std::time::Instant::now();
    while !(reached(POD) && reached(OTHER_HOST)) {
        assert!(started.elapsed() < Duration::from_secs(20), "no listener");
    }
    assert!(reached(NODE) && reached(SERVICE), "from the machine itself");
    for address in [NODE, SERVICE, OTHER_HOST] {
        assert!(pod.connects(address), "a pod reaches {address}");
    }
    assert!(
        other.connects("198.51.100.1:81"),
        "the machine is not cut off"
    );
    for address in [NODE, SERVICE, POD] {
        assert!(!other.connects(address), "another host reaches {address}");
    }
    runtime.block_on(remove(&config, &host)).unwrap();
    let left = Command::new(host.iptables_tool("save")).output().unwrap();
    let left = String::from_utf8(left.stdout).unwrap();
    assert!(!left.contains(CHAIN), "{left}");
}
