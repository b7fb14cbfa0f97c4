//! Which proxy leads to a cluster, if any: decided here from the kubeconfig and the environment, by the rules of kubectl.

use std::net::{IpAddr, UdpSocket};

use harmony_core::capability::kubernetes_cluster::ClusterError;
use http::Uri;
use ipnet::IpNet;

/// A proxy, and what named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) uri: Uri,
    pub(crate) protocol: Protocol,
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP `CONNECT`.
    Http,
    /// SOCKS version 5.
    Socks5,
}

impl Proxy {
    /// `http://proxy.office.example:3128`: without user and password.
    pub(crate) fn shown(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let host = self.uri.host().unwrap_or_default();
        match self.uri.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

/// The proxy for the API server at `server`; `None` means that it is reached directly.
///
/// `named` is the kubeconfig's own `proxy-url`, which is always used. `variable` reads the environment: a proxy from
/// there is used unless `NO_PROXY` excludes the server or the server is on this machine.
pub(crate) fn proxy_for(
    server: &Uri,
    named: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, ClusterError> {
    if let Some(named) = named.filter(|text| !text.trim().is_empty()) {
        return parse("proxy-url", named).map(Some);
    }
    let read = |names: [&'static str; 2]| {
        let mut values = names.into_iter().filter_map(|name| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        });
        values.next()
    };
    let own = match server.scheme_str() {
        Some("http") => ["HTTP_PROXY", "http_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy"],
    };
    let Some((name, value)) = read(own).or_else(|| read(["ALL_PROXY", "all_proxy"])) else {
        return Ok(None);
    };
    let host = server.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = server.port_u16().unwrap_or(match server.scheme_str() {
        Some("http") => 80,
        _ => 443,
    });
    let excluded =
        read(["NO_PROXY", "no_proxy"]).is_some_and(|(_, list)| list_excludes(&list, host, port));
    if excluded || is_on_this_machine(host) {
        return Ok(None);
    }
    parse(name, &value).map(Some)
}

fn parse(name: &'static str, value: &str) -> Result<Proxy, ClusterError> {
    let value = value.trim();
    let refused = |problem: &str| ClusterError::Proxy {
        setting: name,
        problem: problem.to_owned(),
    };
    // Like curl and Go: a proxy without a scheme speaks HTTP.
    let whole = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let uri: Uri = whole
        .parse()
        .map_err(|_| refused("is not the address of a proxy"))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(refused("names no host"));
    }
    let protocol = match uri.scheme_str() {
        Some("http") => Protocol::Http,
        Some("socks5" | "socks5h") => Protocol::Socks5,
        other => {
            return Err(refused(&format!(
                "has the scheme `{}`, but only http and socks5 are supported",
                other.unwrap_or_default()
            )));
        }
    };
    Ok(Proxy { uri, protocol })
}

/// Whether an entry of `NO_PROXY` matches: `*`, an address, a range, a domain (with its subdomains), `.domain` or
/// `*.domain` (the subdomains alone), each but `*` and a range with an optional port. An entry that is none of these is
/// passed over.
fn list_excludes(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    entries.filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Ok(range) = entry.parse::<IpNet>() {
            return address.is_some_and(|address| range.contains(&address));
        }
        let (name, wanted) = split_port(&entry);
        if wanted.is_some_and(|wanted| wanted != port) {
            return false;
        }
        if let Ok(excluded) = name.parse::<IpAddr>() {
            return address == Some(excluded);
        }
        let name = name.trim_end_matches('.');
        let name = name.strip_prefix('*').unwrap_or(name);
        match name.strip_prefix('.') {
            Some(domain) => ends_with_domain(&host, domain),
            None => host == name || ends_with_domain(&host, name),
        }
    })
}

/// `api.example.com:6443`, `[::1]:6443`; an address of version 6 without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return (
            address,
            rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn ends_with_domain(host: &str, domain: &str) -> bool {
    !domain.is_empty()
        && host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

/// Loopback, and every address of this machine's own interfaces: only those can be bound to.
fn is_on_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || UdpSocket::bind((address, 0)).is_ok()
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_core::diagnostic::Report;

    fn chosen(server: &str, named: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let server = server.parse().unwrap();
        let read = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = proxy_for(&server, named, read).unwrap();
        proxy.map(|proxy| proxy.shown())
    }

    const PROXY: (&str, &str) = (
        "HTTPS_PROXY",
        "http://user:secret@proxy.office.example:3128",
    );
    const SHOWN: &str = "http://proxy.office.example:3128";

    #[test]
    fn a_cluster_outside_is_reached_through_the_proxy_and_this_machine_is_not() {
        let outside = "https://api.example.com:6443/";
        assert_eq!(chosen(outside, None, &[]), None);
        assert_eq!(chosen(outside, None, &[PROXY]).as_deref(), Some(SHOWN));
        for name in ["https_proxy", "ALL_PROXY", "all_proxy"] {
            let found = chosen(outside, None, &[(name, PROXY.1)]);
            assert_eq!(found.as_deref(), Some(SHOWN), "{name}");
        }
        assert_eq!(chosen(outside, None, &[("HTTP_PROXY", PROXY.1)]), None);
        assert_eq!(chosen(outside, None, &[("HTTPS_PROXY", "")]), None);
        let bare = chosen(
            outside,
            None,
            &[("https_proxy", "proxy.office.example:3128")],
        );
        assert_eq!(bare.as_deref(), Some(SHOWN));
        for here in [
            "https://127.0.0.1:6443/",
            "https://127.8.9.1/",
            "https://localhost:6443/",
            "https://node.localhost/",
            "https://0.0.0.0:6550/",
            "https://[::1]:6443/",
        ] {
            assert_eq!(chosen(here, None, &[PROXY]), None, "{here}");
        }
    }

    #[test]
    fn the_kubeconfigs_own_proxy_is_always_used() {
        let named = Some("socks5://gate.example.com:1080");
        let variables = [PROXY, ("NO_PROXY", "*")];
        for server in ["https://api.example.com/", "https://127.0.0.1:6443/"] {
            let found = chosen(server, named, &variables);
            assert_eq!(found.as_deref(), named);
        }
    }

    #[test]
    fn no_proxy_knows_hosts_domains_addresses_ranges_and_ports() {
        let host = "https://api.k8s.example.com:6443/";
        let address = "https://10.20.30.40:6443/";
        let six = "https://[fd00::1]:6443/";
        for (list, server, is_direct) in [
            ("*", host, true),
            ("other, *", host, true),
            ("api.k8s.example.com", host, true),
            ("API.k8s.Example.com.", host, true),
            ("example.com", host, true),
            (".example.com", host, true),
            ("*.example.com", host, true),
            (".api.k8s.example.com", host, false),
            ("ample.com", host, false),
            ("api.k8s.example.com:6443", host, true),
            ("api.k8s.example.com:443", host, false),
            ("example.com:6443", host, true),
            ("localhost,127.0.0.1", host, false),
            ("a b example.com", host, true),
            (",,example.com,", host, true),
            ("10.20.30.40", address, true),
            ("10.20.30.40:6443", address, true),
            ("10.20.30.40:80", address, false),
            ("10.20.0.0/16", address, true),
            ("10.21.0.0/16", address, false),
            ("10.20.30.4", address, false),
            ("fd00::1", six, true),
            ("[fd00::1]:6443", six, true),
            ("[fd00::1]:80", six, false),
            ("fd00::/8", six, true),
        ] {
            let found = chosen(server, None, &[PROXY, ("NO_PROXY", list)]);
            assert_eq!(found.is_none(), is_direct, "{list} for {server}");
            let found = chosen(server, None, &[PROXY, ("no_proxy", list)]);
            assert_eq!(found.is_none(), is_direct, "{list} for {server}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_its_password() {
        let server = "https://api.example.com/".parse().unwrap();
        for value in [
            "https://user:secret@proxy:1",
            "ftp://proxy",
            "http://a b:secret@c",
        ] {
            let error = proxy_for(&server, None, |name| {
                (name == "HTTPS_PROXY").then(|| value.to_owned())
            });
            let report = Report::of(&error.unwrap_err());
            assert_eq!(report.code.to_string(), "H0357");
            assert!(report.message.contains("HTTPS_PROXY"), "{report:?}");
            assert!(!format!("{report:?}").contains("secret"), "{report:?}");
        }
    }
}
