//! The network address of an OCI registry.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::excerpt::excerpt;
use crate::string_value::string_conversions;

/// Host and optional port of an OCI registry, as it stands before the first `/` of an image reference.
///
/// One of: a DNS name with at least one dot, a DNS name with a port, `localhost`, an IPv4 address, an IPv6 address in
/// brackets; each with an optional `:<port>`. A bare word such as `registry` is refused: in an image reference it
/// would read as the first part of the path (distribution reference grammar), so it could not be told apart.
/// Names are lower case; an IPv6 address is kept in its canonical short form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost {
    authority: String,
    port: Option<u16>,
}

/// Why a text is not a [`RegistryHost`]; `value` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryHostError {
    /// The text, or the host in it, is empty.
    #[error("registry host `{value}` is empty")]
    Empty {
        /// The refused text.
        value: String,
    },
    /// The host is longer than [`RegistryHost::MAX_LENGTH`], or a part between dots than 63 bytes.
    #[error("registry host `{value}`: `{part}` is {length} bytes long, {max} is the limit")]
    TooLong {
        /// The refused text.
        value: String,
        /// The host, or the part between dots.
        part: String,
        /// Its bytes.
        length: usize,
        /// The bytes allowed for it.
        max: usize,
    },
    /// A URL scheme stands before the host.
    #[error("registry host `{value}` begins with the scheme `{scheme}`")]
    Scheme {
        /// The refused text.
        value: String,
        /// The scheme with `://`.
        scheme: String,
        /// The host that the text seems to mean.
        stripped: String,
    },
    /// A path stands after the host.
    #[error("registry host `{value}` has a path after the host")]
    Path {
        /// The refused text.
        value: String,
        /// What stands before the first `/`.
        host: String,
    },
    /// A character that no host has.
    #[error("registry host `{value}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The refused text.
        value: String,
        /// The character.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
    /// `-` or `.` at an end of the host or beside a dot.
    #[error(
        "registry host `{value}` has `{character}` at position {position}, where a letter or digit is needed"
    )]
    Misplaced {
        /// The refused text.
        value: String,
        /// The separator.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
    /// The port is not a number from 1 to 65535 without leading zeros.
    #[error("registry host `{value}` has the port `{port}`, which is not a number from 1 to 65535")]
    Port {
        /// The refused text.
        value: String,
        /// What stands after `:`.
        port: String,
    },
    /// The host reads as an IP address and is none.
    #[error("registry host `{value}` is no IP address, though it is written like one")]
    Address {
        /// The refused text.
        value: String,
    },
    /// A single word without port.
    #[error("registry host `{value}` is a single word without a port")]
    BareWord {
        /// The refused text.
        value: String,
    },
}

impl RegistryHostError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        const FORM: &str =
            "write the host as in `registry.example.com`, `localhost:5000` or `[::1]:5000`";
        match self {
            Self::Scheme { stripped, .. } if !stripped.is_empty() => {
                format!("write `{stripped}`; whether TLS is used is decided elsewhere")
            }
            Self::Path { host, .. } if !host.is_empty() => {
                format!("write `{host}` here; the path belongs to the repository")
            }
            Self::Character { character, value, .. } if character.is_ascii_uppercase() => {
                format!("write `{}`: host names are lower case", value.to_lowercase())
            }
            Self::Character { character: '@', .. } => {
                format!("{FORM}; credentials belong into the Docker configuration, not into the host")
            }
            Self::Port { .. } => "write the port as a number, for example `:5000`, or leave it out for 443".to_owned(),
            Self::Address { .. } => {
                "write an IPv4 address as four numbers up to 255, an IPv6 address in brackets as in `[::1]:5000`".to_owned()
            }
            Self::BareWord { value } => {
                format!("write its full name, or add the port as in `{value}:443`: without one it reads as a path")
            }
            _ => FORM.to_owned(),
        }
    }
}

impl RegistryHost {
    /// The longest host without port, in bytes: the longest DNS name.
    pub const MAX_LENGTH: usize = 253;

    /// The longest part of a DNS name between dots, in bytes (RFC 1035).
    pub const MAX_LABEL_LENGTH: usize = 63;

    /// Reads `<host>[:<port>]`.
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
        // its canonical form has dots, which the reference grammar forbids within brackets
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

    /// Host and port as they stand in a reference.
    pub fn as_str(&self) -> &str {
        &self.authority
    }

    /// The host without port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        match self.port {
            Some(_) => self
                .authority
                .rsplit_once(':')
                .map_or(&self.authority, |(host, _)| host),
            None => &self.authority,
        }
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the host can only be this machine: `localhost`, an address of 127.0.0.0/8, or `[::1]`.
    ///
    /// Plain HTTP is allowed to such hosts only, so names that a resolver might send elsewhere
    /// (`anything.localhost`) do not count.
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

/// Checks a DNS name or IPv4 address; `true` for a name.
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
    // no top-level domain is a number (RFC 3696), so resolvers take such a host for an address
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
