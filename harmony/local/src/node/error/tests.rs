use harmony_core::diagnostic::Report;

use super::*;

#[test]
fn what_users_read() {
    let output = || vec!["error: it went wrong".to_owned()];
    let io = || io::Error::from(io::ErrorKind::PermissionDenied);
    let errors = [
        LocalNodeError::NotRoot { uid: 1000 },
        LocalNodeError::NoSpace {
            path: "/var/lib/harmony".into(),
            purpose: "the node's state",
            free_mib: 100,
            needed_mib: 2048,
        },
        LocalNodeError::Config {
            field: "name",
            value: "-".into(),
            reason: "must not start with `-`".into(),
        },
        LocalNodeError::PortTaken {
            component: Component::ApiServer,
            address: "192.0.2.1:6443".parse().unwrap(),
            field: "api_port",
            holder: Some("pid 7, `nginx`".into()),
        },
        LocalNodeError::OtherNode {
            command: "k3s server".into(),
            pid: 7,
        },
        LocalNodeError::RouteOverlap {
            field: "pod_cidr",
            range: "10.0.0.0/16".into(),
            route: "10.0.0.0/8 dev tun0".into(),
        },
        LocalNodeError::PackagesMissing {
            programs: vec!["containerd".into(), "runc".into()],
            packages: vec!["containerd", "runc"],
        },
        LocalNodeError::PackageInstall {
            command: "apt-get install runc".into(),
            status: "exit status 100".into(),
            output: output(),
        },
        LocalNodeError::GoMissing {
            needed: "1.26".into(),
            found: Some("go1.19 at `/usr/bin/go`".into()),
            fetch: vec!["python3 is not installed".into()],
        },
        LocalNodeError::ProgramBuild {
            status: "exit status 1".into(),
            log: "/var/cache/harmony/build.log".into(),
            output: output(),
        },
        LocalNodeError::File {
            action: "read",
            path: "/etc/resolv.conf".into(),
            source: io(),
        },
        LocalNodeError::Process {
            action: "start",
            what: "etcd".into(),
            source: io(),
        },
        LocalNodeError::Unkillable {
            what: "etcd".into(),
            pid: 7,
        },
        LocalNodeError::ComponentDied {
            component: Component::Etcd,
            log: "/var/lib/harmony/logs/etcd.log".into(),
            output: output(),
        },
        LocalNodeError::NotReady {
            what: "the node is not Ready".into(),
            seconds: 120,
            seen: vec!["KubeletNotReady: no network".into()],
            logs: "/var/lib/harmony/logs".into(),
        },
        LocalNodeError::Tool {
            command: "ip link".into(),
            status: "exit status 1".into(),
            output: output(),
        },
        LocalNodeError::Archive {
            path: "web.tar".into(),
            reason: "it contains sha256:aa, not sha256:bb".into(),
        },
        LocalNodeError::Reference {
            what: "a registry without TLS",
            value: "hub.example.com".into(),
            reason: "plain HTTP is allowed only for registries on loopback",
        },
        LocalNodeError::NotRunning,
    ];
    let shown = errors.map(|error| Report::of(&error).to_string());
    insta::assert_snapshot!(shown.join("\n"));
}
