//! Which hosts requests may go to. Pure: makes no requests.

use std::net::IpAddr;

use harmony_types::{RegistryHost, printable};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

/// As much of a host's name as is shown.
const LONGEST_HOST: usize = 100;

/// The API host of a registry: Docker Hub's differs from the one in image names.
pub(crate) fn api_host(registry: &RegistryHost) -> &str {
    match registry.as_str() {
        "docker.io" => "registry-1.docker.io",
        host => host,
    }
}

/// The name under which `docker login` stores the login of a registry.
pub(crate) fn login_key(registry: &RegistryHost) -> &str {
    match registry.as_str() {
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

/// Where a registry points to: the target of a redirect, or where an upload continues.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// The registry itself: credentials are sent.
    Home(Url),
    /// Another host, such as an object store: credentials are not sent.
    Foreign(Url),
}

/// Judges the `location` that the registry at `base` returned for a request to `from`.
///
/// The registry keeps its scheme: an `http://` from a misconfigured proxy never makes a token travel in the clear.
/// Other hosts are only contacted over TLS, and never from a public registry into a private network or this machine, so
/// that a registry cannot use us to make requests there.
pub(crate) fn next_hop(base: &Url, from: &Url, location: &str) -> Result<Hop, &'static str> {
    let target = from
        .join(location)
        .map_err(|_| "the address is not valid")?;
    if target.host_str() == base.host_str() && same_port(base, &target) {
        let mut home = base.clone();
        home.set_path(target.path());
        home.set_query(target.query());
        return Ok(Hop::Home(home));
    }
    let (ours, theirs) = (reach(base), reach(&target));
    if theirs < ours {
        return Err("a registry on a public network must not redirect to a private one");
    }
    if target.scheme() != "https" && theirs != Reach::Loopback {
        return Err("other hosts are contacted only over TLS");
    }
    Ok(Hop::Foreign(target))
}

/// Whether the token server at `realm` may get credentials for the registry at `base`.
pub(crate) fn may_log_in(base: &Url, realm: &Url) -> Result<(), &'static str> {
    match realm.scheme() {
        "https" => Ok(()),
        "http" if reach(base) == Reach::Loopback && reach(realm) == Reach::Loopback => Ok(()),
        _ => Err("credentials are sent only over TLS"),
    }
}

/// Whether a redirect with this status is followed. A request that is not a read is only repeated unchanged.
pub(crate) fn follows(status: StatusCode, writes: bool) -> bool {
    match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => !writes,
        _ => false,
    }
}

/// The target of an answer to a request to `from`.
pub(crate) fn location(from: &Url, headers: &HeaderMap) -> Option<Url> {
    from.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// Scheme and host of an address. Nothing else may be shown: paths and queries of uploads contain secrets.
pub(crate) fn shown(url: &Url) -> String {
    let host = printable::excerpt(url.host_str().unwrap_or(""), LONGEST_HOST);
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

fn same_port(base: &Url, target: &Url) -> bool {
    base.port_or_known_default() == target.port_or_known_default()
        || (base.port().is_none() && target.port().is_none())
}

/// The network scope of a host, narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Loopback,
    /// Link-local addresses, where clouds serve instance secrets.
    Link,
    Private,
    /// Names count as public, too.
    Public,
}

fn reach(url: &Url) -> Reach {
    let host = url.host_str().unwrap_or_default();
    if host == "localhost" || host.ends_with(".localhost") {
        return Reach::Loopback;
    }
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
    {
        Ok(address) if address.is_loopback() || address.is_unspecified() => Reach::Loopback,
        Ok(IpAddr::V4(address)) if address.is_link_local() => Reach::Link,
        Ok(IpAddr::V6(address)) if address.is_unicast_link_local() => Reach::Link,
        Ok(IpAddr::V4(address)) if address.is_private() => Reach::Private,
        Ok(IpAddr::V6(address)) if address.is_unique_local() => Reach::Private,
        Ok(_) | Err(_) => Reach::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(base: &str, location: &str) -> Result<Hop, &'static str> {
        let base = Url::parse(base).expect("a test's URL");
        let from = base.join("/v2/a/blobs/uploads/").expect("a path");
        next_hop(&base, &from, location)
    }

    fn home(url: &str) -> Hop {
        Hop::Home(Url::parse(url).expect("a test's URL"))
    }

    #[test]
    fn the_registry_itself_is_home_in_every_spelling() {
        let base = "https://r.example.com";
        assert_eq!(
            hop(base, "/v2/a/blobs/uploads/1?_state=x"),
            Ok(home("https://r.example.com/v2/a/blobs/uploads/1?_state=x"))
        );
        assert_eq!(
            hop(base, "2"),
            Ok(home("https://r.example.com/v2/a/blobs/uploads/2"))
        );
        assert_eq!(
            hop(base, "https://r.example.com:443/u"),
            Ok(home("https://r.example.com/u"))
        );
        assert_eq!(
            hop(base, "http://r.example.com/u"),
            Ok(home("https://r.example.com/u"))
        );
        assert_eq!(
            hop("https://r.example.com:5000", "https://r.example.com:5000/u"),
            Ok(home("https://r.example.com:5000/u"))
        );
    }

    #[test]
    fn another_host_is_foreign_and_needs_tls() {
        assert!(matches!(
            hop("https://r.example.com", "https://s3.example.com/blob?sig=1"),
            Ok(Hop::Foreign(_))
        ));
        assert!(matches!(
            hop("https://r.example.com:5000", "https://r.example.com/u"),
            Ok(Hop::Foreign(_))
        ));
        assert!(hop("https://r.example.com", "http://s3.example.com/blob").is_err());
        assert!(hop("https://r.example.com", "ftp://s3.example.com/blob").is_err());
    }

    #[test]
    fn a_registry_does_not_send_us_into_a_narrower_network() {
        for location in [
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://0.0.0.0/x",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.7/x",
            "https://[fd00::1]/x",
        ] {
            assert!(
                hop("https://r.example.com", location).is_err(),
                "{location}"
            );
        }
        assert!(hop("https://10.0.0.1", "https://169.254.169.254/x").is_err());
        assert!(matches!(
            hop("https://10.0.0.1", "https://10.0.0.2/x"),
            Ok(Hop::Foreign(_))
        ));
        assert!(matches!(
            hop("http://127.0.0.1:5000", "http://127.0.0.1:9000/x"),
            Ok(Hop::Foreign(_))
        ));
    }

    #[test]
    fn credentials_need_tls_or_this_machine() {
        let may = |base: &str, realm: &str| {
            may_log_in(
                &Url::parse(base).expect("a URL"),
                &Url::parse(realm).expect("a URL"),
            )
            .is_ok()
        };
        assert!(may(
            "https://r.example.com",
            "https://auth.example.com/token"
        ));
        assert!(!may(
            "https://r.example.com",
            "http://auth.example.com/token"
        ));
        assert!(!may("https://r.example.com", "http://127.0.0.1/token"));
        assert!(may("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"));
        assert!(!may(
            "http://127.0.0.1:5000",
            "http://auth.example.com/token"
        ));
    }
}
