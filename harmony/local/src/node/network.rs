//! The changes to the network and kernel settings of the machine, and how they are undone.
//!
//! - The address of the node is added to the loopback interface, and the addresses of Services are routed to this
//!   interface. There, the packet filter of kube-proxy redirects them to pods, and packets to unknown addresses are
//!   dropped instead of leaving the machine. For the same reason, unused pod addresses are unreachable.
//! - Our own chain allows packets of pods, and replaces their source address by that of the machine for destinations
//!   outside of the cluster. It also drops, before any other rule, packets from other hosts to the node, to Services
//!   and to pods: Linux answers for the addresses of the loopback interface on every interface, and this machine
//!   forwards packets.
//! - The previous values of kernel settings that the kubelet, kube-proxy and the network plug-ins change are recorded
//!   first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::files::{self, Access};
use super::kernel_settings::{self, Fate, IP_FORWARD, Others};
use super::machine::Machine;
use super::packages::HostPrograms;
use super::tool;

/// The name of the pod network, which network plug-ins write to the comments of their rules.
pub(super) const CNI_NETWORK: &str = "harmony-pods";
const CHAIN: &str = "HARMONY-NODE";

/// The state of the machine before the node changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    pub(super) boot_id: String,
    settings: BTreeMap<String, String>,
    /// What may have needed forwarding at that time.
    #[serde(default)]
    forwarding: Option<BTreeSet<String>>,
}

impl MachineRecord {
    /// The record, if this node has changed the machine.
    pub(super) fn read(config: &LocalNodeConfig) -> Option<Self> {
        serde_json::from_slice(&fs::read(config.layout().machine_record()).ok()?).ok()
    }

    fn of_now(machine: &Machine, rules: &str) -> Self {
        Self {
            boot_id: machine.boot_id.clone(),
            settings: kernel_settings::of_now(),
            forwarding: Some(forwarding_users(rules, &links())),
        }
    }
}

/// The links of this network namespace.
fn links() -> Vec<String> {
    fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// Links and forwarding rules that do not belong to the node and could need `ip_forward`.
fn forwarding_users(saved_rules: &str, links: &[String]) -> BTreeSet<String> {
    let is_ours = |line: &str| {
        [CHAIN, "KUBE-", "CNI-", CNI_NETWORK]
            .iter()
            .any(|mark| line.contains(mark))
    };
    let rules = tables(saved_rules).into_iter().flat_map(|(table, lines)| {
        let hook = match table {
            "filter" => "-A FORWARD ",
            "nat" => "-A POSTROUTING ",
            _ => "-A  ",
        };
        lines.into_iter().filter(move |line| line.starts_with(hook))
    });
    let rules = rules.filter(|line| !is_ours(line)).map(str::to_owned);
    // The link of a pod can exist slightly longer than the pod. The links of other containers are attached to a bridge,
    // which counts.
    let links = links
        .iter()
        .filter(|link| *link != "lo" && !link.starts_with("veth"));
    rules
        .chain(links.map(|link| format!("link {link}")))
        .collect()
}

/// Records the state of the machine, then configures the network for the node. Changes nothing if this is already done.
pub(super) async fn ensure(
    config: &LocalNodeConfig,
    machine: &Machine,
    host: &HostPrograms,
) -> Result<(), LocalNodeError> {
    if MachineRecord::read(config).is_none() {
        let rules = tool::run(&host.iptables_tool("save"), &[] as &[&str]).await?;
        let record = MachineRecord::of_now(machine, &rules);
        let record = serde_json::to_vec_pretty(&record).unwrap_or_default();
        files::write_if_changed(&config.layout().machine_record(), &record, Access::Secret)?;
    }
    tool::run_with_input(&host.ip, &["-batch", "-"], &addresses_and_routes(config)).await?;
    ensure_rules(config, host).await?;
    let forward = kernel_settings::file(IP_FORWARD);
    fs::write(&forward, "1").map_err(LocalNodeError::file("write", forward))
}

/// The strictest rules that the kernel supports: without its module `rpfilter`, the source address of packets from pods
/// is not verified.
async fn ensure_rules(config: &LocalNodeConfig, host: &HostPrograms) -> Result<(), LocalNodeError> {
    let present = tool::run(&host.iptables_tool("save"), &[] as &[&str]).await?;
    let mut result = Ok(String::new());
    for sources in [Sources::Checked, Sources::Believed] {
        let Some(rules) = missing_rules(&present, &wanted_rules(config, sources)) else {
            return Ok(());
        };
        let restore = host.iptables_tool("restore");
        result = tool::run_with_input(&restore, &["--noflush", "--wait"], &rules).await;
        if result.is_ok() {
            break;
        }
    }
    result.map(drop)
}

/// Takes everything back that nobody else has come to need, and returns the kernel settings that stay, with who may need
/// them. Does nothing on a machine that is not marked as changed by this node.
pub(super) async fn remove(
    config: &LocalNodeConfig,
    host: &HostPrograms,
) -> Result<BTreeMap<String, Vec<String>>, LocalNodeError> {
    let Some(record) = MachineRecord::read(config) else {
        return Ok(BTreeMap::new());
    };
    for family in ["iptables", "ip6tables"] {
        let (save, restore) = (
            host.sibling(&format!("{family}-save")),
            host.sibling(&format!("{family}-restore")),
        );
        // A kernel without IPv6 has no ip6tables, and there is nothing to remove.
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
        // This fails only if it has already been removed.
        let _ = tool::run(&host.ip, &gone).await;
    }
    let rules = tool::run(&host.iptables_tool("save"), &[] as &[&str]).await?;
    let users = forwarding_users(&rules, &links());
    let newcomers = record
        .forwarding
        .iter()
        .flat_map(|before| users.difference(before));
    let others = Others::of_now(newcomers.cloned().collect());
    let mut kept = BTreeMap::new();
    for (key, before) in &record.settings {
        let path = kernel_settings::file(key);
        let now = fs::read_to_string(&path).unwrap_or_default();
        match others.fate(key, before, now.trim()) {
            Fate::Untouched => {}
            Fate::PutBack => {
                fs::write(&path, before).map_err(LocalNodeError::file("write", path))?;
            }
            Fate::KeptFor(users) => drop(kept.insert(key.clone(), users)),
        }
    }
    files::remove(&config.layout().machine_record())?;
    Ok(kept)
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

/// Whether a packet with the address of a pod must come from the link of this pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    Checked,
    Believed,
}

/// The content of our chain in a table, and the jump to it.
struct TableRules {
    table: &'static str,
    rules: Vec<String>,
    /// As printed by `iptables-save`.
    jump: String,
    /// Whether the jump comes before all other rules.
    first: bool,
}

/// The rules of our chain and the jumps to it, per table. For rules that drop packets, the jump comes first in its
/// chain. For rules that allow packets, it comes last, because rules that refuse traffic take precedence, and without
/// ours only the policy of the chain would drop these packets.
///
/// Packets from outside are dropped before addresses are translated. At this point, replies to pods still have the
/// machine's address and pass.
fn wanted_rules(config: &LocalNodeConfig, sources: Sources) -> [TableRules; 3] {
    let pods = config.pod_cidr.to_string();
    let guarded = [
        format!("{}/32", config.address),
        config.service_cidr.to_string(),
        pods.clone(),
    ];
    let from_pods = match sources {
        Sources::Checked => format!("-A {CHAIN} -s {pods} -m rpfilter -j RETURN"),
        Sources::Believed => format!("-A {CHAIN} -s {pods} -j RETURN"),
    };
    let drops = guarded
        .iter()
        .map(|range| format!("-A {CHAIN} -d {range} ! -i lo -j DROP"));
    [
        TableRules {
            table: "raw",
            rules: std::iter::once(from_pods).chain(drops).collect(),
            jump: format!("-A PREROUTING -j {CHAIN}"),
            first: true,
        },
        TableRules {
            table: "nat",
            rules: vec![format!("-A {CHAIN} -s {pods} ! -d {pods} -j MASQUERADE")],
            jump: format!("-A POSTROUTING -j {CHAIN}"),
            first: false,
        },
        TableRules {
            table: "filter",
            rules: vec![
                format!("-A {CHAIN} -s {pods} -j ACCEPT"),
                format!("-A {CHAIN} -d {pods} -j ACCEPT"),
            ],
            jump: format!("-A FORWARD -j {CHAIN}"),
            first: false,
        },
    ]
}

/// The input for `iptables-restore --noflush` that adds what is missing from the output of `iptables-save`; `None` if
/// nothing is missing.
fn missing_rules(present: &str, wanted: &[TableRules]) -> Option<String> {
    let tables = tables(present);
    let mut input: Vec<String> = Vec::new();
    for wanted in wanted {
        let lines = tables.get(wanted.table).cloned().unwrap_or_default();
        let ours: Vec<&str> = lines
            .iter()
            .copied()
            .filter(|line| line.starts_with(&format!("-A {CHAIN} ")))
            .collect();
        let (hook, _) = wanted.jump.split_once(" -j").unwrap_or_default();
        let mut in_hook = lines
            .iter()
            .filter(|line| line.starts_with(&format!("{hook} ")));
        let has_jump = if wanted.first {
            in_hook.next() == Some(&wanted.jump.as_str())
        } else {
            in_hook.any(|line| *line == wanted.jump)
        };
        if ours == wanted.rules && has_jump {
            continue;
        }
        // Declaring a chain empties it.
        input.extend([format!("*{}", wanted.table), format!(":{CHAIN} - [0:0]")]);
        input.extend(wanted.rules.iter().cloned());
        if !has_jump && wanted.first {
            if lines.contains(&wanted.jump.as_str()) {
                input.push(wanted.jump.replacen("-A ", "-D ", 1));
            }
            input.push(wanted.jump.replacen("-A ", "-I ", 1));
        } else if !has_jump {
            input.push(wanted.jump.clone());
        }
        input.push("COMMIT".into());
    }
    (!input.is_empty()).then(|| as_text(&input))
}

/// The lines of each table in the output of `iptables-save`.
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

/// Removes our chain, those of kube-proxy, and the port mappings of our pods, and keeps all other rules.
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
        // A chain of port mappings is ours if the rule that jumps to it mentions our network.
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
        // The chains that port mappings share are removed with the last mapping.
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
mod tests;
