//! The address and login of NATS: validates the raw settings.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use async_nats::ServerAddr;
use harmony_reconciler_contracts::subjects;
use secrecy::SecretString;

use crate::{AuthorityError, Backoff, NatsAuthority, file};

/// The options of a connection.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The servers; one of them is used.
    pub servers: NatsServers,
    pub auth: NatsAuth,
    /// The authority that signs the server's certificate. Without one, an address with `tls://` is checked by the
    /// authorities that the system trusts, and one with `nats://` is not checked and not encrypted.
    pub authority: Option<NatsAuthority>,
    /// The name of the connection in the server's monitoring.
    pub name: String,
    /// The prefix of reply subjects; `None` for NATS's default `_INBOX`.
    pub inbox_prefix: Option<String>,
    /// The time to wait before each reconnect.
    pub reconnect: Backoff,
    /// The time between two pings on a silent connection. If two pings are not answered, the connection is closed.
    pub ping_interval: Duration,
    /// The time limit for connecting to a server.
    pub connect_timeout: Duration,
    /// The time limit for the reply to a request.
    pub request_timeout: Duration,
}

impl NatsOptions {
    /// The default times: 5 s to connect, 5 s for a reply, and a reconnect within 15 s after the server is back,
    /// distributed over all clients.
    pub fn new(servers: NatsServers, auth: NatsAuth, name: impl Into<String>) -> Self {
        Self {
            servers,
            auth,
            authority: None,
            name: name.into(),
            inbox_prefix: None,
            reconnect: Backoff::new(Duration::from_millis(250), Duration::from_secs(15)),
            ping_interval: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
        }
    }

    /// Sets the certificate authority of the server.
    #[must_use]
    pub fn with_authority(mut self, authority: Option<NatsAuthority>) -> Self {
        self.authority = authority;
        self
    }

    /// The same for tools, which can read replies only below their own prefix.
    pub fn for_tools(servers: NatsServers, auth: NatsAuth, name: impl Into<String>) -> Self {
        Self {
            inbox_prefix: Some(subjects::TOOLS_INBOX_PREFIX.to_owned()),
            ..Self::new(servers, auth, name)
        }
    }
}

/// One or more NATS servers, written `nats://host:port` and separated by commas. The scheme `tls://` requires
/// encryption, and the default port is 4222. Never contains a password: see [`NatsAuth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServers(Vec<ServerAddr>);

impl NatsServers {
    pub(crate) fn addresses(&self) -> Vec<ServerAddr> {
        self.0.clone()
    }
}

impl fmt::Display for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", in_full(server))?;
        }
        Ok(())
    }
}

/// The scheme, host and port, including defaults.
fn in_full(server: &ServerAddr) -> String {
    let host = server.host();
    let (open, close) = if host.contains(':') {
        ("[", "]")
    } else {
        ("", "")
    };
    format!(
        "{}://{open}{host}{close}:{}",
        server.scheme(),
        server.port()
    )
}

impl FromStr for NatsServers {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut servers = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            // The text may contain a password, so errors must not repeat it before this check.
            if part.contains('@') {
                return Err(SettingsError::PasswordInUrl);
            }
            let wrong = |reason: String| SettingsError::Url {
                url: part.to_owned(),
                reason,
            };
            let server: ServerAddr = part
                .parse()
                .map_err(|e: std::io::Error| wrong(e.to_string()))?;
            if !matches!(server.scheme(), "nats" | "tls") {
                return Err(wrong(format!(
                    "the scheme `{}` is not `nats` or `tls`",
                    server.scheme()
                )));
            }
            if server.host().is_empty() {
                return Err(wrong("it has no host".into()));
            }
            let server = in_full(&server)
                .parse()
                .map_err(|e: std::io::Error| wrong(e.to_string()))?;
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(SettingsError::Url {
                url: text.to_owned(),
                reason: "it is empty".into(),
            });
        }
        Ok(Self(servers))
    }
}

/// How a client authenticates.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NatsAuth {
    /// Without authentication, for a server on loopback.
    Anonymous,
    /// With a user and a password.
    UserPassword {
        user: String,
        /// The password; not shown by `Debug`.
        password: SecretString,
    },
}

impl NatsAuth {
    /// The authentication according to the settings. The password comes from `password` or from the first line of
    /// `password_file`. Both together, or a password without a user, are an error.
    pub fn resolve(
        user: Option<&str>,
        password: Option<SecretString>,
        password_file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let user = user.filter(|text| !text.is_empty());
        let password = match (password, password_file) {
            (Some(_), Some(_)) => return Err(SettingsError::TwoPasswords),
            (Some(password), None) => Some(password),
            (None, Some(path)) => Some(read_password(path)?),
            (None, None) => None,
        };
        match (user, password) {
            (None, None) => Ok(Self::Anonymous),
            (Some(user), Some(password)) => Ok(Self::UserPassword {
                user: user.to_owned(),
                password,
            }),
            (Some(user), None) => Err(SettingsError::NoPassword {
                user: user.to_owned(),
            }),
            (None, Some(_)) => Err(SettingsError::NoUser),
        }
    }

    /// The identity of the client, for messages.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::Anonymous => "a connection without a user".into(),
            Self::UserPassword { user, .. } => format!("user `{user}`"),
        }
    }
}

fn read_password(path: &Path) -> Result<SecretString, SettingsError> {
    let text = file::read_text(path).map_err(|source| SettingsError::PasswordFile {
        path: path.to_owned(),
        source,
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.into()),
        _ => Err(SettingsError::EmptyPasswordFile {
            path: path.to_owned(),
        }),
    }
}

/// Invalid settings. Nothing was tried yet.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "`{url}` is not the address of a NATS server: {reason}; use the form `nats://host:4222`"
    )]
    Url {
        /// The text.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The authority cannot be used.
    #[error("cannot use the certificate authority of NATS")]
    Authority(#[from] AuthorityError),
    /// A user or password in the address, where it would appear in logs.
    #[error("the NATS address contains `@`: set the user and the password separately")]
    PasswordInUrl,
    #[error("NATS user `{user}` has no password: set the password or a password file")]
    NoPassword { user: String },
    #[error("a NATS password is set without a user: set the user too")]
    NoUser,
    #[error("both a NATS password and a password file are set: remove one of them")]
    TwoPasswords,
    #[error("cannot read the NATS password file `{}`", path.display())]
    PasswordFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the NATS password file `{}` has an empty first line: the password belongs there", path.display())]
    EmptyPasswordFile { path: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_addresses_and_shows_them_in_full() {
        for (text, shown) in [
            ("localhost", "nats://localhost:4222"),
            ("nats://nats.fleet.svc:4333", "nats://nats.fleet.svc:4333"),
            ("tls://a, b:1", "tls://a:4222,nats://b:1"),
            ("nats://[::1]:4222", "nats://[::1]:4222"),
        ] {
            let servers: NatsServers = text.parse().unwrap();
            assert_eq!(servers.to_string(), shown);
            assert_eq!(shown.parse::<NatsServers>().unwrap(), servers, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            " , ",
            "http://localhost",
            "nats://",
            "nats://host:99999",
            "ws://host",
        ] {
            let error = text.parse::<NatsServers>().unwrap_err();
            assert!(
                error.to_string().contains("nats://host:4222"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_without_being_repeated() {
        let error = "nats://me:s3cret@host".parse::<NatsServers>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn user_and_password_belong_together() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let empty = dir.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let missing = dir.path().join("missing");

        assert!(matches!(
            NatsAuth::resolve(None, None, None),
            Ok(NatsAuth::Anonymous)
        ));
        let auth = NatsAuth::resolve(Some("me"), None, Some(&file)).unwrap();
        assert!(!format!("{auth:?}").contains("s3cret"), "{auth:?}");
        for (user, password, file) in [
            (Some("me"), None, None),
            (None, Some("x"), None),
            (Some("me"), Some("x"), Some(file.as_path())),
            (Some("me"), None, Some(empty.as_path())),
            (Some("me"), None, Some(missing.as_path())),
        ] {
            assert!(NatsAuth::resolve(user, password.map(SecretString::from), file).is_err());
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_never_shows_what_may_be_a_password(text in ".{0,20}@.{0,20}") {
            if let Err(error) = text.parse::<NatsServers>() {
                let shown_url = match error {
                    SettingsError::PasswordInUrl => String::new(),
                    SettingsError::Url { url, .. } => url,
                    other => return Err(TestCaseError::fail(other.to_string())),
                };
                prop_assert!(!shown_url.contains('@'));
            }
        }
    }
}
