//! Where NATS is and how to be let in: raw settings, checked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use async_nats::ServerAddr;
use harmony_reconciler_contracts::subjects;
use secrecy::SecretString;

use crate::{AuthorityError, Backoff, NatsAuthority, file};

/// All that a connection needs to know.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The servers; any one of them will do.
    pub servers: NatsServers,
    /// How to be let in.
    pub auth: NatsAuth,
    /// Whose signature shows that the server is the fleet's. Without one, an address with `tls://` is checked by the
    /// authorities that the system trusts, and one with `nats://` is not checked and not encrypted.
    pub authority: Option<NatsAuthority>,
    /// Name of the connection in the server's monitoring.
    pub name: String,
    /// Prefix of reply subjects; `None` for NATS's own `_INBOX`.
    pub inbox_prefix: Option<String>,
    /// Wait before each attempt to connect again.
    pub reconnect: Backoff,
    /// Between two checks of a silent connection; one that does not answer two of them is given up.
    pub ping_interval: Duration,
    /// Longest attempt to connect to one server.
    pub connect_timeout: Duration,
    /// Longest wait for an answer to a request.
    pub request_timeout: Duration,
}

impl NatsOptions {
    /// Options with the usual times: 5 s to connect, 5 s for an answer, and a reconnect within 15 s of the
    /// server's return, spread over all clients.
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

    /// With the authority that the server's certificate is checked by.
    #[must_use]
    pub fn with_authority(mut self, authority: Option<NatsAuthority>) -> Self {
        self.authority = authority;
        self
    }

    /// The same for the user of tools, who may only read replies below a prefix of its own.
    pub fn for_tools(servers: NatsServers, auth: NatsAuth, name: impl Into<String>) -> Self {
        Self {
            inbox_prefix: Some(subjects::TOOLS_INBOX_PREFIX.to_owned()),
            ..Self::new(servers, auth, name)
        }
    }
}

/// One or more NATS servers, written `nats://host:port` and separated by commas. The scheme `tls://` asks
/// for encryption, the port is 4222 unless given. Never holds a password: see [`NatsAuth`].
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

/// Scheme, host and port, all spelled out.
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
            // The text may hold a password, so no error repeats it before that is ruled out.
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
                return Err(wrong("it names no host".into()));
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

/// How a client proves who it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NatsAuth {
    /// Not at all: for a server on loopback that asks nothing.
    Anonymous,
    /// By name and password.
    UserPassword {
        /// The name.
        user: String,
        /// The password; `Debug` does not show it.
        password: SecretString,
    },
}

impl NatsAuth {
    /// The way that the settings ask for. The password comes from `password` or from the first line of
    /// `password_file`; both at once, or one without a user, is an error.
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

    /// Who the client says it is, for messages.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::Anonymous => "a client without a user".into(),
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

/// Settings that cannot be used. Nothing was tried yet.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not the address of a NATS server.
    #[error(
        "`{url}` is not the address of a NATS server: {reason}; write it as `nats://host:4222`"
    )]
    Url {
        /// The text.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The authority cannot be used.
    #[error("the authority that NATS is checked by cannot be used")]
    Authority(#[from] AuthorityError),
    /// A user or password inside the address, where it would reach logs.
    #[error("the NATS address contains `@`: give user and password by their own settings")]
    PasswordInUrl,
    /// A user without a password.
    #[error("NATS user `{user}` is given without a password: set the password or a password file")]
    NoPassword {
        /// The user.
        user: String,
    },
    /// A password without a user.
    #[error("a NATS password is given without a user: set the user too")]
    NoUser,
    /// Password and password file.
    #[error("both a NATS password and a password file are given: keep one of them")]
    TwoPasswords,
    /// The password file cannot be read.
    #[error("cannot read the NATS password file `{}`", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The password file's first line is empty.
    #[error("the NATS password file `{}` has an empty first line: the password belongs there", path.display())]
    EmptyPasswordFile {
        /// The file.
        path: PathBuf,
    },
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
