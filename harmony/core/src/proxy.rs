//! Which proxy to use for a server, if any: one rule for clusters, registries and their token servers.
//!
//! The variables are those of curl and Go: `HTTPS_PROXY` and `HTTP_PROXY` by the scheme of the server's address, else
//! `ALL_PROXY`, each also in lower case. `NO_PROXY` lists the exceptions. Connections to this machine are always
//! direct.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, UdpSocket};

use harmony_types::printable;
use http::Uri;
use ipnet::IpNet;

use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};

/// A proxy, and where it was configured. `Debug` and [`Proxy::shown`] omit the login.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    uri: Uri,
    protocol: Protocol,
    setting: &'static str,
}

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP `CONNECT`.
    Http,
    /// HTTP `CONNECT` over TLS.
    Https,
    /// SOCKS version 5.
    Socks5,
}

impl Proxy {
    /// Parses the address of a proxy. As in curl and Go, a proxy without a scheme uses HTTP.
    ///
    /// `setting` is the variable or field that contains it.
    ///
    /// # Errors
    /// If it is not an address, or the protocol is not supported.
    pub fn parse(setting: &'static str, value: &str) -> Result<Self, ProxyError> {
        let value = value.trim();
        let refused = |problem| ProxyError {
            setting,
            value: without_login(value),
            problem,
        };
        let whole = if value.contains("://") {
            value.to_owned()
        } else {
            format!("http://{value}")
        };
        let uri: Uri = whole
            .parse()
            .map_err(|_| refused(ProxyProblem::NotAnAddress))?;
        // `proxy:3128x` would be parsed as a host without a port.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let place = authority
            .rsplit_once('@')
            .map_or(authority, |(_, place)| place);
        let port = place
            .rsplit_once(':')
            .filter(|(host, _)| !host.ends_with(':'));
        let has_bad_port = !place.ends_with(']')
            && port.is_some_and(|(_, port)| !matches!(port.parse::<u16>(), Ok(1..)));
        if uri.host().is_none_or(str::is_empty) || has_bad_port {
            return Err(refused(ProxyProblem::NotAnAddress));
        }
        let protocol = match uri.scheme_str() {
            Some("http") => Protocol::Http,
            Some("https") => Protocol::Https,
            Some("socks5" | "socks5h") => Protocol::Socks5,
            _ => return Err(refused(ProxyProblem::Protocol)),
        };
        Ok(Self {
            uri,
            protocol,
            setting,
        })
    }

    /// With user and password, if it has any.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The protocol of the proxy.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The variable or field that sets it, such as `HTTPS_PROXY`.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Whether it has a user or a password.
    pub fn has_login(&self) -> bool {
        let authority = self.uri.authority();
        authority.is_some_and(|authority| authority.as_str().contains('@'))
    }

    /// `http://proxy.office.example:3128`, without user and password.
    pub fn shown(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let host = self.uri.host().unwrap_or_default();
        match self.uri.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    /// For clients that do not support the protocol of this proxy.
    pub fn unsupported(&self) -> ProxyError {
        ProxyError {
            setting: self.setting,
            value: self.shown(),
            problem: ProxyProblem::Protocol,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({} from {})", self.shown(), self.setting)
    }
}

/// A setting does not contain a usable proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy `{value}` in `{setting}` {problem}")]
pub struct ProxyError {
    /// The environment variable or kubeconfig field.
    pub setting: &'static str,
    /// Its value, without user and password.
    pub value: String,
    /// The reason.
    pub problem: ProxyProblem,
}

/// Why the address of a proxy cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProblem {
    /// It is not an address.
    NotAnAddress,
    /// The protocol is not supported.
    Protocol,
}

impl fmt::Display for ProxyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnAddress => "is not an address",
            Self::Protocol => "has an unsupported protocol",
        })
    }
}

impl Diagnostic for ProxyError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::PROXY_UNUSABLE)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec![
            format!(
                "set `{}` to an address such as `http://proxy.example.com:3128` or `socks5://proxy.example.com:1080`",
                self.setting
            ),
            "or add the server to `NO_PROXY` to connect directly".into(),
        ]
    }
}

/// The value of a setting for errors, without anything that may be a login.
fn without_login(value: &str) -> String {
    const LIMIT: usize = 100;
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), value),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    printable::line(&format!("{scheme}{rest}"))
        .chars()
        .take(LIMIT)
        .collect()
}

/// The proxy settings of the environment. `Debug` omits the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    http: Option<Variable>,
    https: Option<Variable>,
    all: Option<Variable>,
    no: Option<Variable>,
}

#[derive(Clone, PartialEq, Eq)]
struct Variable {
    name: &'static str,
    value: String,
}

impl ProxyVariables {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Reads variables with `lookup`. An empty variable counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: [&'static str; 2]| {
            let mut values = names.into_iter().filter_map(|name| {
                let value = lookup(name)?.to_string_lossy().trim().to_owned();
                (!value.is_empty()).then_some(Variable { name, value })
            });
            values.next()
        };
        Self {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            all: first(["ALL_PROXY", "all_proxy"]),
            no: first(["NO_PROXY", "no_proxy"]),
        }
    }

    /// The proxy for the server at `server`; `None` for a direct connection: no proxy is set, `NO_PROXY` excludes the
    /// server, or the server is on this machine.
    ///
    /// # Errors
    /// If the proxy cannot be used.
    pub fn proxy_for(&self, server: &Uri) -> Result<Option<Proxy>, ProxyError> {
        let is_plain = server.scheme_str() == Some("http");
        let own = if is_plain { &self.http } else { &self.https };
        let Some(Variable { name, value }) = own.as_ref().or(self.all.as_ref()) else {
            return Ok(None);
        };
        let host = server.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = server.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let excluded = self
            .no
            .as_ref()
            .is_some_and(|list| list_excludes(&list.value, host, port));
        if excluded || is_on_this_machine(host) {
            return Ok(None);
        }
        Proxy::parse(name, value).map(Some)
    }
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [&self.http, &self.https, &self.all, &self.no];
        let names = all.into_iter().flatten().map(|variable| variable.name);
        f.debug_set().entries(names).finish()
    }
}

/// Whether an entry of `NO_PROXY` matches: `*`, an address, a range, a domain (with its subdomains), `.domain` or
/// `*.domain` (only the subdomains). All but `*` and a range may have a port. Invalid entries are ignored.
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

/// `api.example.com:6443`, `[::1]:6443`; an IPv6 address without brackets has no port.
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

/// Loopback, and every address of an interface of this machine: only those can be bound.
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
    use crate::diagnostic::Report;

    fn variables(set: &[(&str, &str)]) -> ProxyVariables {
        ProxyVariables::from_lookup(|name| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    fn chosen(server: &str, set: &[(&str, &str)]) -> Option<String> {
        let proxy = variables(set).proxy_for(&server.parse().unwrap()).unwrap();
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
        assert_eq!(chosen(outside, &[]), None);
        assert_eq!(chosen(outside, &[PROXY]).as_deref(), Some(SHOWN));
        for name in ["https_proxy", "ALL_PROXY", "all_proxy"] {
            let found = chosen(outside, &[(name, PROXY.1)]);
            assert_eq!(found.as_deref(), Some(SHOWN), "{name}");
        }
        assert_eq!(chosen(outside, &[("HTTP_PROXY", PROXY.1)]), None);
        assert_eq!(chosen(outside, &[("HTTPS_PROXY", "")]), None);
        let bare = chosen(outside, &[("https_proxy", "proxy.office.example:3128")]);
        assert_eq!(bare.as_deref(), Some(SHOWN));
        for here in [
            "https://127.0.0.1:6443/",
            "https://127.8.9.1/",
            "https://localhost:6443/",
            "https://node.localhost/",
            "https://0.0.0.0:6550/",
            "https://[::1]:6443/",
        ] {
            assert_eq!(chosen(here, &[PROXY]), None, "{here}");
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
            let found = chosen(server, &[PROXY, ("NO_PROXY", list)]);
            assert_eq!(found.is_none(), is_direct, "{list} for {server}");
            let found = chosen(server, &[PROXY, ("no_proxy", list)]);
            assert_eq!(found.is_none(), is_direct, "{list} for {server}");
        }
    }

    #[test]
    fn http_and_https_have_variables_of_their_own() {
        let http = ("http_proxy", "http://plain.example:1");
        let https = ("HTTPS_PROXY", "socks5h://tunnel.example:2");
        let all = ("all_proxy", "rest.example:3");
        let set = [http, https, all];
        let of = |server, set: &[_]| chosen(server, set).unwrap();
        assert_eq!(of("http://r.example.com/", &set), "http://plain.example:1");
        assert_eq!(
            of("https://r.example.com/", &set),
            "socks5h://tunnel.example:2"
        );
        assert_eq!(
            of("http://r.example.com/", &[https, all]),
            "http://rest.example:3"
        );
        assert_eq!(
            of("https://r.example.com/", &[http, all]),
            "http://rest.example:3"
        );
    }

    #[test]
    fn an_address_that_cannot_be_used_is_named_without_its_password() {
        let server = "https://api.example.com/".parse().unwrap();
        let rendered: Vec<String> = [
            "ftp://proxy",
            "socks4://user:secret@proxy:1",
            "http://user:secret@",
            "http://a b:secret@c",
            "http://user:sec@ret@proxy:port",
            "proxy:99999",
            "\u{1b}[31m://x",
        ]
        .into_iter()
        .map(|value| {
            let error = variables(&[("HTTPS_PROXY", value)]).proxy_for(&server);
            let report = Report::of(&error.unwrap_err());
            format!("{}: {}", report.code, report.message)
        })
        .collect();
        insta::assert_snapshot!(rendered.join("\n"), @r"
        H0357: the proxy `ftp://proxy` in `HTTPS_PROXY` has an unsupported protocol
        H0357: the proxy `socks4://proxy:1` in `HTTPS_PROXY` has an unsupported protocol
        H0357: the proxy `http://` in `HTTPS_PROXY` is not an address
        H0357: the proxy `http://c` in `HTTPS_PROXY` is not an address
        H0357: the proxy `http://proxy:port` in `HTTPS_PROXY` is not an address
        H0357: the proxy `proxy:99999` in `HTTPS_PROXY` is not an address
        H0357: the proxy `://x` in `HTTPS_PROXY` is not an address
        ");
    }

    #[test]
    fn debug_output_hides_the_login() {
        let set = variables(&[PROXY]);
        let proxy = set.proxy_for(&"https://api.example.com/".parse().unwrap());
        let shown = format!("{set:?} {proxy:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
