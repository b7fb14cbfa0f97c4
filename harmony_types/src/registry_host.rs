//! The network address of an OCI registry.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::excerpt::excerpt;
use crate::string_value::string_conversions;

/// The host and optional port of an OCI registry, as in front of the first `/` of an image reference.
///
/// A host is a DNS name with at least one dot, a DNS name with a port, `localhost`, an IPv4 address, or an IPv6 address
/// in brackets, each with an optional `:<port>`. A single word such as `registry` is refused, because an image
/// reference cannot distinguish it from the first component of a path (see the distribution reference grammar). Names
/// are in lower case, and IPv6 addresses in their canonical short form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost {
    authority: String,
    port: Option<u16>,
}

/// The reason why a string is not a valid [`RegistryHost`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryHostError {
    /// The string, or the host in it, is empty.
    #[error("registry host `{value}` is empty")]
    Empty {
        /// The invalid string.
        value: String,
    },
    /// The host is longer than [`RegistryHost::MAX_LENGTH`], or a part between dots is longer than 63 bytes.
    #[error("registry host `{value}`: `{part}` is {length} bytes long, but the limit is {max}")]
    TooLong {
        /// The invalid string.
        value: String,
        /// The host, or the part between dots.
        part: String,
        /// Its length in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// There is a URL scheme in front of the host.
    #[error("registry host `{value}` starts with the scheme `{scheme}`")]
    Scheme {
        /// The invalid string.
        value: String,
        /// The scheme, including `://`.
        scheme: String,
        /// The host without the scheme.
        stripped: String,
    },
    /// There is a path after the host.
    #[error("registry host `{value}` has a path after the host")]
    Path {
        /// The invalid string.
        value: String,
        /// The text in front of the first `/`.
        host: String,
    },
    /// A character that is not allowed in a host.
    #[error("registry host `{value}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The invalid string.
        value: String,
        /// The character.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
    /// A `-` or `.` at the start or end of the host, or next to a dot.
    #[error(
        "registry host `{value}` has `{character}` at position {position}, where a letter or digit is required"
    )]
    Misplaced {
        /// The invalid string.
        value: String,
        /// The separator.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
    /// The port is not a number from 1 to 65535 without leading zeros.
    #[error("registry host `{value}` has the port `{port}`, which is not a number from 1 to 65535")]
    Port {
        /// The invalid string.
        value: String,
        /// The text after `:`.
        port: String,
    },
    /// The host looks like an IP address but is not valid.
    #[error("registry host `{value}` looks like an IP address but is not a valid one")]
    Address {
        /// The invalid string.
        value: String,
    },
    /// A single word without a port.
    #[error("registry host `{value}` is a single word without a port")]
    BareWord {
        /// The invalid string.
        value: String,
    },
}

impl RegistryHostError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        const FORM: &str =
            "use a host such as `registry.example.com`, `localhost:5000` or `[::1]:5000`";
        match self {
            Self::Scheme { stripped, .. } if !stripped.is_empty() => {
                format!("use `{stripped}`: a registry host has no scheme")
            }
            Self::Path { host, .. } if !host.is_empty() => {
                format!("use `{host}`; the path is part of the repository")
            }
            Self::Character { character, value, .. } if character.is_ascii_uppercase() => {
                format!("use `{}`: host names are lower case", value.to_lowercase())
            }
            Self::Character { character: '@', .. } => {
                format!("{FORM}; put credentials in the Docker configuration and not in the host")
            }
            Self::Port { .. } => "use a number as the port, for example `:5000`, or leave it out for port 443".to_owned(),
            Self::Address { .. } => {
                "an IPv4 address has four numbers up to 255; an IPv6 address is in brackets, for example \
                 `[::1]:5000`".to_owned()
            }
            Self::BareWord { value } => {
                format!("use the full host name, or add a port, for example `{value}:443`; otherwise it is read as a path")
            }
            _ => FORM.to_owned(),
        }
    }
}

impl RegistryHost {
    /// The maximum length of a host without port, in bytes: that of a DNS name.
    pub const MAX_LENGTH: usize = 253;

    /// The maximum length of a part of a DNS name between dots, in bytes (RFC 1035).
    pub const MAX_LABEL_LENGTH: usize = 63;

    /// Parses `<host>[:<port>]`.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, RegistryHostError> {
        let text = value.as_ref();
        if let Some((scheme, rest)) = text.split_once("://") {
            let stripped = rest.split('/').next().unwrap_or_default();
            return Err(RegistryHostError::Scheme {
                value: excerpt(text),
                scheme: excerpt(&format!("{scheme}://")),
                stripped: excerpt(stripped),
            });
        }
        if let Some((host, _)) = text.split_once('/') {
            return Err(RegistryHostError::Path {
                value: excerpt(text),
                host: excerpt(host),
            });
        }
        if text.starts_with('[') {
            return Self::ipv6(text);
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let is_name = check_name(text, host)?;
        let port = port.map(|port| parse_port(text, port)).transpose()?;
        if is_name && port.is_none() && !host.contains('.') && host != "localhost" {
            return Err(RegistryHostError::BareWord {
                value: excerpt(text),
            });
        }
        Ok(Self {
            authority: text.to_owned(),
            port,
        })
    }

    fn ipv6(text: &str) -> Result<Self, RegistryHostError> {
        let address_error = || RegistryHostError::Address {
            value: excerpt(text),
        };
        let (address, rest) = text[1..].split_once(']').ok_or_else(address_error)?;
        let address: Ipv6Addr = address.parse().map_err(|_| address_error())?;
        // its canonical form contains dots, which the reference grammar does not allow in brackets
        if address.to_ipv4_mapped().is_some() {
            return Err(address_error());
        }
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(text, port)?),
            None if rest.is_empty() => None,
            None => return Err(address_error()),
        };
        let authority = match port {
            Some(port) => format!("[{address}]:{port}"),
            None => format!("[{address}]"),
        };
        Ok(Self { authority, port })
    }

    /// The host and the port, as in a reference.
    pub fn as_str(&self) -> &str {
        &self.authority
    }

    /// The host without the port. An IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        match self.port {
            Some(_) => self
                .authority
                .rsplit_once(':')
                .map_or(&self.authority, |(host, _)| host),
            None => &self.authority,
        }
    }

    /// The port, if there is one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns true if the host can only be this machine: `localhost`, an address in 127.0.0.0/8, or `[::1]`.
    ///
    /// Plain HTTP is allowed only for these hosts. Names that a resolver could resolve to another address, such as
    /// `anything.localhost`, do not count.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host == "[::1]"
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

string_conversions!(RegistryHost, RegistryHostError, as_str);

/// Checks a DNS name or an IPv4 address; returns `true` for a name.
fn check_name(text: &str, host: &str) -> Result<bool, RegistryHostError> {
    let value = || excerpt(text);
    if host.is_empty() {
        return Err(RegistryHostError::Empty { value: value() });
    }
    let mut last = None;
    let mut misplaced = None;
    for (index, character) in host.chars().enumerate() {
        let position = index + 1;
        match character {
            'a'..='z' | '0'..='9' => {}
            '-' | '.' => {
                let joins = match (last, character) {
                    (None | Some('.'), _) | (Some('-'), '.') => false,
                    _ => position < host.chars().count(),
                };
                if !joins {
                    misplaced.get_or_insert(RegistryHostError::Misplaced {
                        value: value(),
                        character,
                        position,
                    });
                }
            }
            _ => {
                return Err(RegistryHostError::Character {
                    value: value(),
                    character,
                    position,
                });
            }
        }
        last = Some(character);
    }
    if let Some(error) = misplaced {
        return Err(error);
    }
    let limits = std::iter::once((host, RegistryHost::MAX_LENGTH)).chain(
        host.split('.')
            .map(|label| (label, RegistryHost::MAX_LABEL_LENGTH)),
    );
    for (part, max) in limits {
        if part.len() > max {
            return Err(RegistryHostError::TooLong {
                value: value(),
                part: excerpt(part),
                length: part.len(),
                max,
            });
        }
    }
    // top-level domains are never numeric (RFC 3696), so resolvers treat such a host as an address
    let last_label = host.rsplit('.').next().unwrap_or(host);
    if last_label.bytes().all(|byte| byte.is_ascii_digit()) {
        return match host.parse::<Ipv4Addr>() {
            Ok(_) => Ok(false),
            Err(_) => Err(RegistryHostError::Address { value: value() }),
        };
    }
    Ok(true)
}

fn parse_port(text: &str, port: &str) -> Result<u16, RegistryHostError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match port.parse::<u16>() {
        Ok(number) if digits => Ok(number),
        _ => Err(RegistryHostError::Port {
            value: excerpt(text),
            port: excerpt(port),
        }),
    }
}

#[cfg(test)]
mod tests;
