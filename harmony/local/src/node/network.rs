//! What the node changes of the machine's network and kernel settings, and how that is taken back.
//!
//! - The node's address is put on the loopback link, and Service addresses are routed to that link: the packet filter
//!   of kube-proxy turns them to pods, and what it does not know ends there instead of leaving the machine. Pod
//!   addresses that no pod has are unreachable for the same reason.
//! - One chain of ours lets pods through the packet filter and gives them the machine's address for the world outside.
//! - Kernel settings that the kubelet, kube-proxy and the network plugins change are noted before they do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::files::{self, Access};
use super::machine::Machine;
use super::packages::HostPrograms;
use super::tool;

/// The name of the pod network; network plugins write it into the comments of their rules.
pub(super) const CNI_NETWORK: &str = "harmony-pods";
const CHAIN: &str = "HARMONY-NODE";

/// Below `/proc/sys`.
const SETTINGS: [&str; 9] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// How the machine was before the node touched it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    pub(super) boot_id: String,
    settings: BTreeMap<String, String>,
}

impl MachineRecord {
    /// The record, when the machine is marked as changed by this node.
    pub(super) fn read(config: &LocalNodeConfig) -> Option<Self> {
        serde_json::from_slice(&fs::read(config.layout().machine_record()).ok()?).ok()
    }

    fn of_now(machine: &Machine) -> Self {
        let settings = SETTINGS
            .iter()
            .filter_map(|key| {
                Some((
                    (*key).to_owned(),
                    fs::read_to_string(setting(key)).ok()?.trim().to_owned(),
                ))
            })
            .collect();
        Self {
            boot_id: machine.boot_id.clone(),
            settings,
        }
    }
}

fn setting(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}

/// Notes how the machine is, then makes its network the node's. Changes nothing when all is there.
pub(super) async fn ensure(
    config: &LocalNodeConfig,
    machine: &Machine,
    host: &HostPrograms,
) -> Result<(), LocalNodeError> {
    if MachineRecord::read(config).is_none() {
        let record = serde_json::to_vec_pretty(&MachineRecord::of_now(machine)).unwrap_or_default();
        files::write_if_changed(&config.layout().machine_record(), &record, Access::Secret)?;
    }
    tool::run_with_input(&host.ip, &["-batch", "-"], &addresses_and_routes(config)).await?;
    let present = tool::run(&host.iptables_tool("save"), &[] as &[&str]).await?;
    if let Some(rules) = missing_rules(&present, &config.pod_cidr.to_string()) {
        tool::run_with_input(
            &host.iptables_tool("restore"),
            &["--noflush", "--wait"],
            &rules,
        )
        .await?;
    }
    let forward = setting("net/ipv4/ip_forward");
    fs::write(&forward, "1").map_err(LocalNodeError::file("write", forward))
}

/// Takes everything back. Does nothing on a machine that is not marked as changed by this node.
pub(super) async fn remove(
    config: &LocalNodeConfig,
    host: &HostPrograms,
) -> Result<(), LocalNodeError> {
    let Some(record) = MachineRecord::read(config) else {
        return Ok(());
    };
    for family in ["iptables", "ip6tables"] {
        let (save, restore) = (
            host.sibling(&format!("{family}-save")),
            host.sibling(&format!("{family}-restore")),
        );
        // A kernel without IPv6 has no ip6tables, and nothing to remove there.
        let Ok(present) = tool::run(&save, &[] as &[&str]).await else {
            continue;
        };
        let rules = removal(&present);
        if !rules.is_empty() {
            tool::run_with_input(&restore, &["--noflush", "--wait"], &rules).await?;
        }
    }
    for gone in [
        vec![
            "route".to_owned(),
            "del".into(),
            config.service_cidr.to_string(),
            "dev".into(),
            "lo".into(),
        ],
        vec![
            "route".into(),
            "del".into(),
            "unreachable".into(),
            config.pod_cidr.to_string(),
        ],
        vec![
            "addr".into(),
            "del".into(),
            format!("{}/32", config.address),
            "dev".into(),
            "lo".into(),
        ],
    ] {
        // The only failure is that it is gone already.
        let _ = tool::run(&host.ip, &gone).await;
    }
    for (key, before) in &record.settings {
        let path = setting(key);
        if fs::read_to_string(&path).is_ok_and(|now| now.trim() != before) {
            fs::write(&path, before).map_err(LocalNodeError::file("write", path))?;
        }
    }
    files::remove(&config.layout().machine_record())
}

fn addresses_and_routes(config: &LocalNodeConfig) -> String {
    let LocalNodeConfig {
        address,
        service_cidr,
        pod_cidr,
        ..
    } = config;
    format!(
        "link set lo up\n\
         addr replace {address}/32 dev lo\n\
         route replace {service_cidr} dev lo src {address}\n\
         route replace unreachable {pod_cidr}\n"
    )
}

impl HostPrograms {
    fn iptables_tool(&self, what: &str) -> PathBuf {
        self.sibling(&format!("iptables-{what}"))
    }

    fn sibling(&self, name: &str) -> PathBuf {
        self.iptables.with_file_name(name)
    }
}

/// The rules of our chain and the jumps to it, by table. The jumps come last in their chains: rules that refuse
/// traffic go first, and what we allow is only otherwise dropped by a chain's policy.
fn wanted_rules(pods: &str) -> [(&'static str, Vec<String>, String); 2] {
    [
        (
            "nat",
            vec![format!("-A {CHAIN} -s {pods} ! -d {pods} -j MASQUERADE")],
            format!("-A POSTROUTING -j {CHAIN}"),
        ),
        (
            "filter",
            vec![
                format!("-A {CHAIN} -s {pods} -j ACCEPT"),
                format!("-A {CHAIN} -d {pods} -j ACCEPT"),
            ],
            format!("-A FORWARD -j {CHAIN}"),
        ),
    ]
}

/// What `iptables-restore --noflush` must be told, from what `iptables-save` printed; nothing when all is there.
fn missing_rules(present: &str, pods: &str) -> Option<String> {
    let tables = tables(present);
    let mut input: Vec<String> = Vec::new();
    for (table, rules, jump) in wanted_rules(pods) {
        let lines = tables.get(table).cloned().unwrap_or_default();
        let ours: Vec<&str> = lines
            .iter()
            .copied()
            .filter(|line| line.starts_with(&format!("-A {CHAIN} ")))
            .collect();
        let has_jump = lines.contains(&jump.as_str());
        if ours == rules && has_jump {
            continue;
        }
        // Declaring a chain empties it.
        input.extend([format!("*{table}"), format!(":{CHAIN} - [0:0]")]);
        input.extend(rules);
        if !has_jump {
            input.push(jump);
        }
        input.push("COMMIT".into());
    }
    (!input.is_empty()).then(|| as_text(&input))
}

/// The lines of each table of `iptables-save`.
fn tables(saved: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut tables: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = "";
    for line in saved.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('*') {
            current = table;
        } else if line.starts_with([':', '-']) {
            tables.entry(current).or_default().push(line);
        }
    }
    tables
}

/// What removes our chain, those of kube-proxy, and the port mappings of our pods, leaving every other rule.
fn removal(saved: &str) -> String {
    let mut input: Vec<String> = Vec::new();
    for (table, lines) in tables(saved) {
        let chain_of = |line: &str| {
            line.strip_prefix(':')
                .and_then(|rest| rest.split(' ').next())
                .map(str::to_owned)
        };
        let chains: Vec<String> = lines.iter().filter_map(|line| chain_of(line)).collect();
        let jumps_of = |line: &str| -> Option<(String, String)> {
            let chain = line.strip_prefix("-A ")?.split(' ').next()?.to_owned();
            let target = line.rsplit_once(" -j ")?.1.split(' ').next()?.to_owned();
            Some((chain, target))
        };
        // A chain of port mappings is ours when the rule that jumps to it names our network.
        let mapped: Vec<String> = lines
            .iter()
            .filter(|line| line.contains(&format!("name: \\\"{CNI_NETWORK}\\\"")))
            .filter_map(|line| Some(jumps_of(line)?.1))
            .filter(|target| target.starts_with("CNI-"))
            .collect();
        let ours = |chain: &str| {
            chain == CHAIN
                || chain.starts_with("KUBE-")
                || mapped.iter().any(|mapped| mapped == chain)
        };
        let mut gone: Vec<&String> = chains.iter().filter(|chain| ours(chain)).collect();
        // The chains that port mappings share go with the last mapping.
        let others_map = chains
            .iter()
            .any(|chain| chain.starts_with("CNI-DN-") && !ours(chain));
        if !others_map {
            gone.extend(
                chains
                    .iter()
                    .filter(|chain| chain.starts_with("CNI-HOSTPORT-")),
            );
        }
        if gone.is_empty() {
            continue;
        }
        input.push(format!("*{table}"));
        input.extend(gone.iter().map(|chain| format!(":{chain} - [0:0]")));
        for line in &lines {
            if let Some((chain, target)) = jumps_of(line)
                && gone.iter().any(|gone| **gone == target)
                && !gone.iter().any(|gone| **gone == chain)
            {
                input.push(line.replacen("-A ", "-D ", 1));
            }
        }
        input.extend(gone.iter().map(|chain| format!("-X {chain}")));
        input.push("COMMIT".into());
    }
    as_text(&input)
}

fn as_text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: &str = "10.244.0.0/24";

    #[test]
    fn nothing_is_written_when_all_rules_are_there() {
        let saved = "\
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
        assert_eq!(missing_rules(saved, PODS), None);
        let other_range = missing_rules(saved, "10.245.0.0/24").unwrap();
        assert!(
            !other_range.contains("-A FORWARD"),
            "a jump is not repeated: {other_range}"
        );
        assert!(
            other_range
                .contains(":HARMONY-NODE - [0:0]\n-A HARMONY-NODE -s 10.245.0.0/24 -j ACCEPT")
        );
        assert!(
            missing_rules("", PODS)
                .unwrap()
                .contains("-A POSTROUTING -j HARMONY-NODE\nCOMMIT")
        );
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
}
