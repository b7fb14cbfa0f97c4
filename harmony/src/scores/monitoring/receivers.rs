//! The receivers that come with Harmony.

mod chat;
mod email;
mod ntfy;
mod webhook;

pub use chat::{DiscordReceiver, SlackReceiver};
pub use email::EmailReceiver;
pub use ntfy::NtfyReceiver;
pub use webhook::{WebhookReceiver, WebhookUrl};

use std::fmt;
use std::str::FromStr;

use harmony_types::ResourceName;

/// The name of the only receiver of its kind.
fn default_name(kind: &str) -> ResourceName {
    kind.parse().expect("a valid name")
}

/// An address that starts with `http://` or `https://`, without a user or password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress(String);

impl HttpAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reason why a text is not an [`HttpAddress`]. Does not contain the text, which can be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme, or none.
    #[error("the address of a receiver does not start with `http://` or `https://`")]
    Scheme,
    /// No host.
    #[error("the address of a receiver has no host")]
    Host,
    /// A user or password.
    #[error("the address of a receiver contains a login: use a Secret instead")]
    Login,
    /// A space or control character.
    #[error("the address of a receiver contains a space or a control character")]
    Character,
}

impl FromStr for HttpAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(AddressError::Scheme)?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err(AddressError::Login);
        }
        if host.is_empty() || host.starts_with(':') {
            return Err(AddressError::Host);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(AddressError::Character);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_no_login() {
        let parse = |text: &str| text.parse::<HttpAddress>().map(drop);
        assert_eq!(parse("https://ntfy.sh/topic?template=alertmanager"), Ok(()));
        assert_eq!(parse("http://10.0.0.1:8080"), Ok(()));
        for (text, error) in [
            ("ntfy.sh/topic", AddressError::Scheme),
            ("ftp://x", AddressError::Scheme),
            ("https:///x", AddressError::Host),
            ("https://:80/x", AddressError::Host),
            ("https://me:secret@x/y", AddressError::Login),
            ("https://x/a b", AddressError::Character),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
            assert!(!error.to_string().contains("secret@"));
        }
    }
}
