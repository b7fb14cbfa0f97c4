//! The address of a BuildKit daemon.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use harmony_core::capability::container_builder::BuildError;
use harmony_oci::file::open_regular;

/// The address of a BuildKit daemon: `unix:///run/buildkit/buildkitd.sock`, or `tcp://HOST:PORT` with or without client
/// certificates.
///
/// Anyone who can connect to a daemon can start containers on its machine. So a TCP address without certificates is
/// only for networks in which everybody may do this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildKitEndpoint(Address);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address in brackets.
        host: String,
        port: u16,
        certificates: Option<ClientCertificates>,
    },
}

/// The PEM files for a TCP connection with TLS, with which client and daemon verify each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authority that signed the certificate of the daemon.
    pub ca: PathBuf,
    /// The certificate of this client.
    pub certificate: PathBuf,
    /// The private key of this client.
    pub key: PathBuf,
}

/// The reason why a text is not the address of a BuildKit daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    #[error("`{0}` has no scheme; use `unix:///path/to/buildkitd.sock` or `tcp://HOST:PORT`")]
    NoScheme(String),
    #[error("the scheme of `{0}` is not supported; use `unix://` or `tcp://`")]
    Scheme(String),
    #[error("`{0}` has no absolute path; use for example `unix:///run/buildkit/buildkitd.sock`")]
    Path(String),
    #[error("`{0}` has no host; use `tcp://HOST:PORT`")]
    Host(String),
    #[error("`{0}` has no port; use `tcp://HOST:PORT`, often with the port 1234")]
    Port(String),
    #[error("client certificates are only for `tcp://` addresses, not for `{0}`")]
    Certificates(String),
}

impl BuildKitEndpoint {
    /// Uses TLS with these certificates.
    ///
    /// # Errors
    /// [`InvalidEndpoint::Certificates`] if the address is a socket.
    pub fn with_certificates(
        self,
        certificates: ClientCertificates,
    ) -> Result<Self, InvalidEndpoint> {
        match self.0 {
            Address::Unix(_) => Err(InvalidEndpoint::Certificates(self.to_string())),
            Address::Tcp { host, port, .. } => Ok(Self(Address::Tcp {
                host,
                port,
                certificates: Some(certificates),
            })),
        }
    }

    /// The client certificates, for a TCP address with TLS.
    pub fn certificates(&self) -> Option<&ClientCertificates> {
        match &self.0 {
            Address::Tcp { certificates, .. } => certificates.as_ref(),
            Address::Unix(_) => None,
        }
    }

    /// Whether it is the address of a port.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self.0, Address::Tcp { .. })
    }

    /// Checks that the certificates can be read.
    pub(super) fn check_files(&self) -> Result<(), BuildError> {
        let files = self.certificates().into_iter().flat_map(|certificates| {
            [
                &certificates.ca,
                &certificates.certificate,
                &certificates.key,
            ]
        });
        for path in files {
            open_regular(path).map_err(|error| BuildError::Unreachable {
                endpoint: self.to_string(),
                output: vec![format!("{}: {error}", path.display())],
                help: "check the paths of the authority, the certificate and the key of the BuildKit client"
                    .to_owned(),
            })?;
        }
        Ok(())
    }
}

impl FromStr for BuildKitEndpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.escape_debug().to_string();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(InvalidEndpoint::NoScheme(shown()));
        };
        match scheme {
            "unix" if is_plain(rest) && rest.starts_with('/') && rest.len() > 1 => {
                Ok(Self(Address::Unix(rest.into())))
            }
            "unix" => Err(InvalidEndpoint::Path(shown())),
            "tcp" => {
                let (host, port) = rest
                    .rsplit_once(':')
                    .filter(|(host, _)| !host.ends_with(':') || host.ends_with(']'))
                    .unwrap_or((rest, ""));
                if !is_host(host) {
                    return Err(InvalidEndpoint::Host(shown()));
                }
                let port = port.parse().ok().filter(|port| *port != 0);
                Ok(Self(Address::Tcp {
                    host: host.to_owned(),
                    port: port.ok_or_else(|| InvalidEndpoint::Port(shown()))?,
                    certificates: None,
                }))
            }
            _ => Err(InvalidEndpoint::Scheme(shown())),
        }
    }
}

impl fmt::Display for BuildKitEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        let address = inside.strip_suffix(']').unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && !host.starts_with('-')
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BuildKitEndpoint, InvalidEndpoint> {
        text.parse()
    }

    #[test]
    fn addresses_are_shown_as_they_are_written() {
        for text in [
            "unix:///run/buildkit/buildkitd.sock",
            "tcp://buildkit.example.com:1234",
            "tcp://10.0.0.7:1234",
            "tcp://[::1]:1234",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_what_to_write() {
        use InvalidEndpoint::{Host, NoScheme, Path, Port, Scheme};
        let text = String::from;
        for (address, error) in [
            ("buildkit:1234", NoScheme(text("buildkit:1234"))),
            ("", NoScheme(text(""))),
            ("docker-container://x", Scheme(text("docker-container://x"))),
            ("unix://run/x.sock", Path(text("unix://run/x.sock"))),
            ("unix:///", Path(text("unix:///"))),
            ("unix:///a b", Path(text("unix:///a b"))),
            ("tcp://:1234", Host(text("tcp://:1234"))),
            ("tcp://a b:1234", Host(text("tcp://a b:1234"))),
            ("tcp://-x:1234", Host(text("tcp://-x:1234"))),
            ("tcp://::1:1234", Host(text("tcp://::1:1234"))),
            ("tcp://user@x:1234", Host(text("tcp://user@x:1234"))),
            ("tcp://x", Port(text("tcp://x"))),
            ("tcp://x:", Port(text("tcp://x:"))),
            ("tcp://x:0", Port(text("tcp://x:0"))),
            ("tcp://x:1234/path", Port(text("tcp://x:1234/path"))),
            ("tcp://[::1]", Port(text("tcp://[::1]"))),
        ] {
            assert_eq!(parse(address), Err(error), "{address}");
        }
    }

    #[test]
    fn certificates_are_for_tcp() {
        let certificates = ClientCertificates {
            ca: "/etc/buildkit/ca.pem".into(),
            certificate: "/etc/buildkit/cert.pem".into(),
            key: "/etc/buildkit/key.pem".into(),
        };
        let tcp = parse("tcp://x:1234").unwrap();
        let tcp = tcp.with_certificates(certificates.clone()).unwrap();
        assert_eq!(tcp.certificates(), Some(&certificates));
        let unix = parse("unix:///x").unwrap();
        assert!(unix.with_certificates(certificates).is_err());
        let missing = tcp.check_files().unwrap_err();
        assert!(
            matches!(missing, BuildError::Unreachable { .. }),
            "{missing}"
        );
    }
}
