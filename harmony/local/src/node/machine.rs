//! What this machine is: read once at the start of `up`, never written.

use std::fs;
use std::path::Path;

/// The facts that the configuration of the components depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    /// Whether root may raise resource limits here. In many containers it may not, and runc then dies when containerd
    /// asks it for a negative OOM score.
    pub(super) may_raise_limits: bool,
    pub(super) cgroup_driver: CgroupDriver,
    /// The name servers that pods can reach too.
    pub(super) resolv_conf: String,
    /// How containerd keeps the file systems of containers.
    pub(super) snapshotter: &'static str,
    /// Changes with every boot.
    pub(super) boot_id: String,
}

/// Who owns the tree of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupDriver {
    /// Nobody else: groups are folders that we make.
    Cgroupfs,
    /// systemd, on the unified hierarchy: it would undo what others change in its tree.
    Systemd,
}

const CAP_SYS_RESOURCE: u32 = 24;

impl Machine {
    pub(super) fn inspect(state: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let systemd = Path::new("/run/systemd/system").exists();
        // With systemd-resolved, /etc/resolv.conf names a server on loopback, which no pod can reach.
        let resolved = read("/run/systemd/resolve/resolv.conf");
        let resolv_conf = if resolved.is_empty() {
            read("/etc/resolv.conf")
        } else {
            resolved
        };
        Self {
            may_raise_limits: has_capability(&read("/proc/self/status"), CAP_SYS_RESOURCE),
            cgroup_driver: if unified && systemd {
                CgroupDriver::Systemd
            } else {
                CgroupDriver::Cgroupfs
            },
            resolv_conf: reachable_from_pods(&resolv_conf),
            snapshotter: snapshotter(state),
            boot_id: read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        }
    }

    /// The control group, below the root of each hierarchy, that holds all pods of a node.
    pub(super) fn cgroup_name(node: &str) -> String {
        format!("harmony-node-{node}")
    }

    /// True when cluster DNS has somebody to ask for names outside the cluster.
    pub(super) fn has_name_server(&self) -> bool {
        self.resolv_conf
            .lines()
            .any(|line| line.starts_with("nameserver"))
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self {
            may_raise_limits: true,
            cgroup_driver: CgroupDriver::Cgroupfs,
            resolv_conf: String::new(),
            snapshotter: "overlayfs",
            boot_id: "b".into(),
        }
    }
}

/// An overlay cannot lie on an overlay, as in a container whose own file system is one: there, containers get copies.
pub(super) fn snapshotter(state: &Path) -> &'static str {
    let existing = state
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statfs(existing) {
        // OVERLAYFS_SUPER_MAGIC
        Ok(stat) if stat.f_type == 0x794c_7630 => "native",
        _ => "overlayfs",
    }
}

fn has_capability(status: &str, capability: u32) -> bool {
    status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .is_some_and(|set| set & (1 << capability) != 0)
}

/// `resolv.conf` without the servers on loopback, comments and options: names only resolve through the rest.
fn reachable_from_pods(resolv_conf: &str) -> String {
    let mut kept = String::new();
    for line in resolv_conf.lines().map(str::trim) {
        let keep = match line.split_once(char::is_whitespace) {
            Some(("nameserver", server)) => server
                .trim()
                .parse::<std::net::IpAddr>()
                .is_ok_and(|server| !server.is_loopback()),
            Some(("search" | "options", _)) => true,
            _ => false,
        };
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_by_bit() {
        assert!(has_capability(
            "Name:\tx\nCapEff:\t000001ffffffffff\n",
            CAP_SYS_RESOURCE
        ));
        assert!(!has_capability(
            "CapEff:\t000001fffeffffff\n",
            CAP_SYS_RESOURCE
        ));
        assert!(!has_capability("", CAP_SYS_RESOURCE));
    }

    #[test]
    fn servers_on_loopback_are_dropped() {
        let text = "# made by x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nsearch lan\nnonsense\n";
        assert_eq!(
            reachable_from_pods(text),
            "nameserver 10.0.0.2\nsearch lan\n"
        );
        let machine = Machine {
            resolv_conf: reachable_from_pods("nameserver 127.0.0.53\n"),
            ..Machine::example()
        };
        assert!(!machine.has_name_server());
    }
}
