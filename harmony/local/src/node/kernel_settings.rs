//! The kernel settings that components of the node change, and which of them are put back when it goes.
//!
//! A setting is put back when the node changed it, nobody has changed it since, and nobody else has come to need the
//! value that it has now. Pure, but for the functions that look at the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Below `/proc/sys`, with the value that the node or a component of it writes.
const SETTINGS: [(&str, &str); 9] = [
    (IP_FORWARD, "1"),
    ("net/ipv4/conf/all/route_localnet", "1"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];
pub(super) const IP_FORWARD: &str = "net/ipv4/ip_forward";

/// Where a machine's own settings are written down.
const CONFIGURATION: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

/// Programs that write the same settings for a Kubernetes node, and count on them.
const OTHER_NODES: [&str; 6] = [
    "kubelet",
    "k3s",
    "k3s-server",
    "k3s-agent",
    "rke2",
    "kubelite",
];

/// The file of a setting.
pub(super) fn file(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}

/// The settings as they are, those that this kernel has.
pub(super) fn of_now() -> BTreeMap<String, String> {
    let read = |(key, _): &(&str, &str)| {
        let value = fs::read_to_string(file(key)).ok()?;
        Some(((*key).to_owned(), value.trim().to_owned()))
    };
    SETTINGS.iter().filter_map(read).collect()
}

/// Who else may need a setting by now.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Links, and rules about forwarded packets, that came since the node did.
    pub(super) network: BTreeSet<String>,
    /// What the machine's configuration says.
    pub(super) configured: BTreeMap<String, String>,
    /// Kubernetes nodes of others that run here.
    pub(super) nodes: BTreeSet<String>,
}

/// What becomes of a setting when the node goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The node did not change it, or somebody else did since.
    Untouched,
    /// It gets its old value.
    PutBack,
    /// It stays, for these.
    KeptFor(Vec<String>),
}

impl Others {
    /// What there is besides `network`, which the packet filter tells.
    pub(super) fn of_now(network: BTreeSet<String>) -> Self {
        let mut configured = BTreeMap::new();
        // As systemd reads them: by the names of the files, whichever folder they are in; then the one of old.
        let mut files: BTreeMap<_, PathBuf> = BTreeMap::new();
        for folder in CONFIGURATION {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                files.entry(entry.file_name()).or_insert(entry.path());
            }
        }
        let files = files
            .into_values()
            .filter(|path| path.extension().is_some_and(|end| end == "conf"));
        for path in files.chain([PathBuf::from("/etc/sysctl.conf")]) {
            if is_file(&path) {
                configured.extend(parse(&fs::read_to_string(&path).unwrap_or_default()));
            }
        }
        Self {
            network,
            configured,
            nodes: other_nodes(),
        }
    }

    /// What becomes of a setting that was `before` and is `now`.
    pub(super) fn fate(&self, key: &str, before: &str, now: &str) -> Fate {
        let set_by_node = SETTINGS
            .iter()
            .any(|(name, value)| *name == key && *value == now);
        if now == before || !set_by_node {
            return Fate::Untouched;
        }
        let mut users: Vec<String> = self.nodes.iter().cloned().collect();
        if self.configured.get(key).is_some_and(|value| value == now) {
            users.push("the configuration of this machine (sysctl.d)".into());
        }
        if key.starts_with("net/") {
            users.extend(self.network.iter().cloned());
        }
        if users.is_empty() {
            Fate::PutBack
        } else {
            Fate::KeptFor(users)
        }
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
}

fn other_nodes() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| OTHER_NODES.contains(&name.as_str()))
        .collect()
}

/// The settings in a file of `sysctl`, by their paths.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim);
    let settings = lines.filter(|line| !line.starts_with(['#', ';']));
    settings
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            // A dash in front says that failures are ignored.
            let key = key.trim().trim_start_matches('-');
            // Whichever of the two separators comes first is the separator.
            let key = match key.find(['.', '/']).map(|at| &key[at..=at]) {
                Some(".") => key.replace('.', "/"),
                _ => key.to_owned(),
            };
            Some((key, value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: &str = "net/bridge/bridge-nf-call-iptables";
    const MEMORY: &str = "vm/overcommit_memory";

    #[test]
    fn what_the_node_changed_and_nobody_needs_is_put_back() {
        let nobody = Others::default();
        assert_eq!(nobody.fate(IP_FORWARD, "0", "1"), Fate::PutBack);
        assert_eq!(nobody.fate(MEMORY, "0", "1"), Fate::PutBack);
        assert_eq!(nobody.fate(IP_FORWARD, "1", "1"), Fate::Untouched);
        // Somebody set another value since.
        assert_eq!(nobody.fate("kernel/panic", "0", "5"), Fate::Untouched);
    }

    #[test]
    fn what_others_came_to_need_stays() {
        let with_docker = Others {
            network: ["link docker0".to_owned()].into(),
            ..Others::default()
        };
        let for_docker = || Fate::KeptFor(vec!["link docker0".into()]);
        for key in [IP_FORWARD, BRIDGE, "net/ipv4/conf/all/route_localnet"] {
            assert_eq!(with_docker.fate(key, "0", "1"), for_docker(), "{key}");
        }
        assert_eq!(with_docker.fate(MEMORY, "0", "1"), Fate::PutBack);

        let written_down = Others {
            configured: parse(
                "# for the database\n-vm.overcommit_memory=1\nnet/bridge/bridge-nf-call-iptables = 0\n",
            ),
            ..Others::default()
        };
        assert!(matches!(
            written_down.fate(MEMORY, "0", "1"),
            Fate::KeptFor(_)
        ));
        // It asks for another value than the present one.
        assert_eq!(written_down.fate(BRIDGE, "0", "1"), Fate::PutBack);

        let beside_another = Others {
            nodes: ["k3s-server".to_owned()].into(),
            ..Others::default()
        };
        for (key, value) in SETTINGS {
            let fate = beside_another.fate(key, "7", value);
            assert_eq!(fate, Fate::KeptFor(vec!["k3s-server".into()]), "{key}");
        }
    }

    #[test]
    fn settings_are_read_as_sysctl_reads_them() {
        let text =
            "\n; old\nnet.ipv4.ip_forward = 1\nnet/ipv4/conf/eth0.1/forwarding=1\nkernel.panic\n";
        let read = parse(text);
        assert_eq!(read.len(), 2);
        assert_eq!(read[IP_FORWARD], "1");
        assert_eq!(read["net/ipv4/conf/eth0.1/forwarding"], "1");
    }
}
