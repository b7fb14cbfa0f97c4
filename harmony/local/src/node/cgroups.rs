//! The control group that contains all pods of the node. It is created before the kubelet starts, which requires it.
//! `down` uses it to find every process of every pod, even if containerd has lost track of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::files;
use super::machine::{CgroupDriver, Machine};
use super::network::MachineRecord;

/// Creates the group in every hierarchy that a kubelet with the `cgroupfs` driver uses.
pub(super) fn ensure(config: &LocalNodeConfig, machine: &Machine) -> Result<(), LocalNodeError> {
    if machine.cgroup_driver == CgroupDriver::Systemd {
        return Ok(());
    }
    let all = hierarchies();
    let legacy = all
        .iter()
        .any(|hierarchy| matches!(hierarchy, Hierarchy::Legacy(_)));
    // If any hierarchy of version 1 is mounted, the kubelet uses only those.
    for hierarchy in all
        .into_iter()
        .filter(|one| matches!(one, Hierarchy::Legacy(_)) == legacy)
    {
        if let Hierarchy::Unified(root) = &hierarchy {
            delegate_controllers(root);
        }
        files::create_dir(&hierarchy.root().join(Machine::cgroup_name(&config.name)))?;
    }
    Ok(())
}

/// Kills every process of every pod and deletes the group. Succeeds if it does not exist.
pub(super) async fn remove(
    config: &LocalNodeConfig,
    machine: &Machine,
) -> Result<(), LocalNodeError> {
    const EVERY: Duration = Duration::from_millis(20);
    const TRIES: u32 = 500;
    // With the systemd driver, the kubelet cannot choose the name, and ours is the only kubelet on this machine.
    let mut names = vec![Machine::cgroup_name(&config.name)];
    if machine.cgroup_driver == CgroupDriver::Systemd && MachineRecord::read(config).is_some() {
        names.push("kubepods.slice".to_owned());
    }
    let groups: Vec<PathBuf> = hierarchies()
        .iter()
        .flat_map(|hierarchy| names.iter().map(|name| hierarchy.root().join(name)))
        .filter(|group| group.exists())
        .collect();
    for group in &groups {
        let mut left = TRIES;
        loop {
            // A process that forks can escape once, but not many times in a row.
            kill_all(group);
            match remove_tree(group) {
                Ok(()) => break,
                Err(error) if left == 0 => {
                    return Err(LocalNodeError::file("remove", group)(error));
                }
                Err(_) => left -= 1,
            }
            tokio::time::sleep(EVERY).await;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hierarchy {
    /// cgroup v2.
    Unified(PathBuf),
    /// One of the hierarchies of cgroup v1.
    Legacy(PathBuf),
}

impl Hierarchy {
    fn root(&self) -> &Path {
        match self {
            Self::Unified(root) | Self::Legacy(root) => root,
        }
    }
}

fn hierarchies() -> Vec<Hierarchy> {
    parse_hierarchies(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// Parses `/proc/self/mountinfo`. Both versions can be mounted at the same time; runc then creates groups in both.
fn parse_hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let Some(target) = before.split(' ').nth(4) else {
            continue;
        };
        match after.split(' ').next() {
            Some("cgroup") => found.push(Hierarchy::Legacy(target.into())),
            Some("cgroup2") => found.push(Hierarchy::Unified(target.into())),
            _ => {}
        }
    }
    found
}

/// In the unified hierarchy, a group has only the controllers that its parent delegates.
fn delegate_controllers(root: &Path) {
    let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_ascii_whitespace() {
        // Some controllers cannot be delegated on some machines, for example `cpu` with real-time processes. The
        // kubelet reports the missing ones by name.
        let _ = fs::write(
            root.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

fn subgroups(group: &Path) -> Vec<PathBuf> {
    fs::read_dir(group)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect()
}

fn pids_below(group: &Path) -> Vec<i32> {
    let own = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    for below in subgroups(group) {
        pids.extend(pids_below(&below));
    }
    pids
}

fn kill_all(group: &Path) {
    for pid in pids_below(group) {
        let Some(pid) = Pid::from_raw(pid) else {
            continue;
        };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        // Check again now that the pidfd refers to the process, in case its pid has been reused.
        if pids_below(group).contains(&pid.as_raw_nonzero().get()) {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }
}

fn remove_tree(group: &Path) -> io::Result<()> {
    for below in subgroups(group) {
        remove_tree(&below)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found() {
        let unified = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            parse_hierarchies(unified),
            [Hierarchy::Unified("/sys/fs/cgroup".into())]
        );
        let hybrid = "\
31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 25 0:29 / /tmp rw - tmpfs tmpfs rw
";
        assert_eq!(
            parse_hierarchies(hybrid),
            [
                Hierarchy::Legacy("/sys/fs/cgroup/memory".into()),
                Hierarchy::Unified("/sys/fs/cgroup/unified".into()),
            ]
        );
        assert!(parse_hierarchies("").is_empty());
    }
}
