//! Checks before anything is written. If one fails, the machine is unchanged.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use super::component::Component;
use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::process;

/// The database, one set of images and the logs of a small node.
const STATE_MIB: u64 = 2 * 1024;
/// Logs, and the database during compaction.
const RESTART_MIB: u64 = 256;

/// Checks the configuration and root.
pub(super) fn check(config: &LocalNodeConfig) -> Result<(), LocalNodeError> {
    config.validate()?;
    check_root()
}

/// Checks the disk space for what the node is going to write: more for a new node than for one that already has its
/// images and database.
pub(super) fn check_state_space(config: &LocalNodeConfig) -> Result<(), LocalNodeError> {
    let is_new = !config.layout().etcd_data().exists();
    let needed_mib = if is_new { STATE_MIB } else { RESTART_MIB };
    check_space(&config.state_dir, "the local node", needed_mib)
}

/// Every operation on the node needs root.
pub(super) fn check_root() -> Result<(), LocalNodeError> {
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        Ok(())
    } else {
        Err(LocalNodeError::NotRoot { uid: uid.as_raw() })
    }
}

/// The free space of a directory that does not have to exist yet.
pub(super) fn check_space(
    folder: &Path,
    purpose: &'static str,
    needed_mib: u64,
) -> Result<(), LocalNodeError> {
    let existing = folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(existing).map_err(|error| {
        LocalNodeError::file("inspect the file system of", existing)(error.into())
    })?;
    let free_mib = stat.f_bavail.saturating_mul(stat.f_frsize) / (1024 * 1024);
    if free_mib < needed_mib {
        return Err(LocalNodeError::NoSpace {
            path: folder.to_owned(),
            purpose,
            free_mib,
            needed_mib,
        });
    }
    Ok(())
}

/// The ports of components that are about to start must be free. Waits for ports without an owner, because the sockets
/// of a killed process exist slightly longer than its name and pid.
pub(super) async fn check_ports(
    config: &LocalNodeConfig,
    starting: &[Component],
) -> Result<(), LocalNodeError> {
    const EVERY: Duration = Duration::from_millis(20);
    const AT_MOST: Duration = Duration::from_secs(3);
    let started = Instant::now();
    loop {
        match check_ports_now(config, starting) {
            Err(LocalNodeError::PortTaken { holder: None, .. }) if started.elapsed() < AT_MOST => {
                tokio::time::sleep(EVERY).await;
            }
            checked => return checked,
        }
    }
}

fn check_ports_now(config: &LocalNodeConfig, starting: &[Component]) -> Result<(), LocalNodeError> {
    let wanted = [
        (Component::ApiServer, config.api_address(), "api_port"),
        (Component::Kubelet, config.kubelet_address(), "kubelet_port"),
        (
            Component::Etcd,
            config.etcd_client_address(),
            "etcd_client_port",
        ),
        (
            Component::Etcd,
            config.etcd_peer_address(),
            "etcd_peer_port",
        ),
    ];
    let mut listening = listeners(&fs::read_to_string("/proc/net/tcp").unwrap_or_default());
    listening.extend(listeners(
        &fs::read_to_string("/proc/net/tcp6").unwrap_or_default(),
    ));
    for (component, address, field) in wanted {
        let Some(taken) = blocker(&listening, address).filter(|_| starting.contains(&component))
        else {
            continue;
        };
        let holder = process::socket_holder(taken.inode);
        // Our own process that another run has just started, or that is exiting.
        if holder.is_some_and(|pid| process::is_marked(pid, process::NODE_MARK, &config.state_dir))
        {
            continue;
        }
        // A process without a command line is exiting.
        let holder = holder
            .map(|pid| (pid, process::command_line(pid)))
            .filter(|(_, command)| !command.is_empty())
            .map(|(pid, command)| format!("pid {pid}, `{command}`"));
        return Err(LocalNodeError::PortTaken {
            component,
            address,
            field,
            holder,
        });
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listener {
    /// `None` for a wildcard.
    address: Option<IpAddr>,
    port: u16,
    inode: u64,
}

fn blocker(listening: &[Listener], wanted: SocketAddr) -> Option<&Listener> {
    listening.iter().find(|one| {
        one.port == wanted.port() && one.address.is_none_or(|address| address == wanted.ip())
    })
}

/// The listening sockets in `/proc/net/tcp` or `tcp6`, see proc(5). Addresses are words in the byte order of the
/// machine.
fn listeners(table: &str) -> Vec<Listener> {
    const LISTEN: &str = "0A";
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        if *fields.get(3)? != LISTEN {
            return None;
        }
        let address = match address.len() {
            8 => {
                let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
                (!address.is_unspecified()).then_some(IpAddr::V4(address))
            }
            // Only wildcard IPv6 sockets accept IPv4 connections; the others just need to be different.
            _ if address.bytes().all(|byte| byte == b'0') => None,
            _ => Some(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
        };
        Some(Listener {
            address,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    };
    table.lines().skip(1).filter_map(parse).collect()
}

/// Checks that there is no other node on this network, because two kube-proxies overwrite each other's rules.
pub(super) fn check_other_nodes(config: &LocalNodeConfig) -> Result<(), LocalNodeError> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let here = namespace("self");
    let others = fs::read_dir("/proc").map_err(LocalNodeError::file("list", "/proc"))?;
    for pid in others.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
        let command = process::command_line(pid);
        if is_node_process(&command)
            && namespace(&pid.to_string()) == here
            && !process::is_marked(pid, process::NODE_MARK, &config.state_dir)
        {
            return Err(LocalNodeError::OtherNode { command, pid });
        }
    }
    Ok(())
}

/// A kubelet or kube-proxy, as a separate program or as the first argument of a combined one.
fn is_node_process(command: &str) -> bool {
    let mut words = command.split(' ');
    let program = words
        .next()
        .and_then(|program| program.rsplit('/').next())
        .unwrap_or_default();
    let first = words.next().unwrap_or_default();
    match program {
        "kubelet" | "kube-proxy" | "kubelite" => true,
        "k3s" | "k0s" | "rke2" => matches!(first, "server" | "agent" | "controller" | "worker"),
        "localnode" => matches!(first, "kubelet" | "kube-proxy"),
        _ => false,
    }
}

/// The ranges of the node must not hide hosts that this machine can reach.
pub(super) fn check_routes(config: &LocalNodeConfig) -> Result<(), LocalNodeError> {
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    overlap(config, &routes(&table))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    link: String,
    net: Ipv4Net,
}

fn overlap(config: &LocalNodeConfig, routes: &[Route]) -> Result<(), LocalNodeError> {
    for (field, range) in [
        ("service_cidr", config.service_cidr),
        ("pod_cidr", config.pod_cidr),
        ("address", Ipv4Net::from(config.address)),
    ] {
        let in_the_way = |route: &&Route| {
            route.net.prefix_len() > 0 && (route.net.contains(&range) || range.contains(&route.net))
        };
        if let Some(route) = routes.iter().find(in_the_way) {
            return Err(LocalNodeError::RouteOverlap {
                field,
                range: range.to_string(),
                route: format!("{} dev {}", route.net, route.link),
            });
        }
    }
    Ok(())
}

/// Parses `/proc/net/route`, where the destination and the mask are words in the byte order of the machine.
fn routes(table: &str) -> Vec<Route> {
    let word = |text: &str| {
        Some(Ipv4Addr::from(
            u32::from_str_radix(text, 16).ok()?.to_ne_bytes(),
        ))
    };
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let net = Ipv4Net::with_netmask(word(fields.get(1)?)?, word(fields.get(7)?)?).ok()?;
        Some(Route {
            link: (*fields.first()?).to_owned(),
            net,
        })
    };
    table.lines().skip(1).filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100630A:192B 0100630A:9999 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx rx tr tm uid timeout inode
   0: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 444 1 0
   1: 00000000000000000000000001000000:094C 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 555 1 0
";

    #[test]
    fn a_listener_blocks_its_address_and_a_wildcard_blocks_all() {
        let mut all = listeners(TCP);
        all.extend(listeners(TCP6));
        let blocked = |address: &str| blocker(&all, address.parse().unwrap()).map(|one| one.inode);
        assert_eq!(blocked("127.0.0.1:2379"), Some(111));
        assert_eq!(blocked("10.99.0.1:2379"), None);
        assert_eq!(blocked("10.99.0.1:8080"), Some(222));
        assert_eq!(
            blocked("10.99.0.1:6443"),
            None,
            "a connection is no listener"
        );
        assert_eq!(blocked("10.99.0.1:10250"), Some(444));
        assert_eq!(
            blocked("127.0.0.1:2380"),
            None,
            "an IPv6 loopback listener leaves IPv4 alone"
        );
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = LocalNodeConfig {
            etcd_client_port: taken.local_addr().unwrap().port(),
            ..LocalNodeConfig::default()
        };
        assert!(check_ports_now(&config, &[Component::Scheduler]).is_ok());
        match check_ports_now(&config, &[Component::Etcd]).unwrap_err() {
            LocalNodeError::PortTaken {
                field: "etcd_client_port",
                holder: Some(holder),
                ..
            } => {
                assert!(
                    holder.contains(&format!("pid {}", std::process::id())),
                    "{holder}"
                );
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn routes_that_overlap_are_named() {
        let table = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
tun0\t0000600A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
";
        let all = routes(table);
        assert_eq!(all.len(), 3);
        let mut config = LocalNodeConfig::default();
        match overlap(&config, &all) {
            Err(LocalNodeError::RouteOverlap {
                field: "service_cidr",
                route,
                ..
            }) => {
                assert_eq!(route, "10.96.0.0/16 dev tun0");
            }
            other => panic!("{other:?}"),
        }
        config.service_cidr = "10.97.0.0/16".parse().unwrap();
        overlap(&config, &all).unwrap();
    }

    #[test]
    fn other_nodes_are_known_by_their_programs() {
        for command in [
            "/usr/bin/kubelet --config x",
            "k3s server",
            "/usr/local/bin/k3s agent",
            "/x/localnode kubelet",
        ] {
            assert!(is_node_process(command), "{command}");
        }
        for command in [
            "k3s kubectl get pods",
            "vim kubelet",
            "localnode kubectl",
            "",
            "grep kubelet",
        ] {
            assert!(!is_node_process(command), "{command}");
        }
    }

    #[test]
    fn no_space_is_said_in_mib() {
        let folder = Path::new("/var/lib/no/such/folder/yet");
        match check_space(folder, "a test", u64::MAX) {
            Err(LocalNodeError::NoSpace {
                path,
                free_mib,
                needed_mib: u64::MAX,
                ..
            }) => {
                assert!(path == folder && free_mib > 0);
            }
            other => panic!("{other:?}"),
        }
    }
}
