//! The properties of this machine, read once at the start of `up` and never changed.

use std::fs;
use std::path::Path;

/// The properties that the configuration of the components depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    /// Whether root can raise resource limits. In many containers it cannot, and runc fails if containerd asks for a
    /// negative OOM score.
    pub(super) may_raise_limits: bool,
    pub(super) cgroup_driver: CgroupDriver,
    /// The name servers that pods can reach.
    pub(super) resolv_conf: String,
    /// The snapshotter of containerd, which stores the file systems of containers.
    pub(super) snapshotter: &'static str,
    /// Changes with every boot.
    pub(super) boot_id: String,
}

/// Who manages the control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupDriver {
    /// Nobody else: groups are directories that we create.
    Cgroupfs,
    /// systemd, in the unified hierarchy: it would undo the changes of others in its tree.
    Systemd,
}

const CAP_SYS_RESOURCE: u32 = 24;

impl Machine {
    pub(super) fn inspect(state: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let systemd = Path::new("/run/systemd/system").exists();
        // With systemd-resolved, /etc/resolv.conf contains a server on loopback, which pods cannot reach.
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

    /// The path of the control group for all pods of a node, below the root of each hierarchy.
    pub(super) fn cgroup_name(node: &str) -> String {
        format!("harmony-node-{node}")
    }

    /// Returns true if cluster DNS has a server to ask for names outside of the cluster.
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

/// An overlay file system cannot be on another one, as in a container with an overlay root. In this case, containers
/// get copies.
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

/// `resolv.conf` without servers on loopback, comments and options.
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
