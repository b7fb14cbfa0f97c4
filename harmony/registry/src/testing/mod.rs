//! A real registry for tests: distribution, as packaged by Debian, started and stopped by the test.
//!
//! Only for the tests of this workspace (feature `testing`). If the program is not installed, the error says how to
//! install it; there is no fake registry.

mod certificates;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_types::{RegistryHost, Repository};
use tempfile::TempDir;

pub use certificates::{Authority, Issued};

use crate::settings::{Credentials, Environment, RegistrySettings};

/// The timeout until the program answers.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A registry on its own port of 127.0.0.1 or another address of this machine, with its own storage. Dropping it stops it and deletes everything.
#[derive(Debug)]
pub struct RegistryPeer {
    folder: TempDir,
    host: RegistryHost,
    address: Ipv4Addr,
    port: u16,
    program: PathBuf,
    process: Option<Child>,
}

/// How the registry is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// TLS with its own certificate authority, and a password, like a real one.
    TlsAndPassword,
    /// The same, with a certificate for this name, under which a proxy of the test leads to it.
    TlsFor(String),
    /// TLS with a self-signed certificate, as `openssl req -x509` makes it; everybody may write.
    SelfSigned,
    /// Plain HTTP for everybody, for tests with a proxy in front of it.
    Open,
    /// Plain HTTP and a token server of the test.
    Tokens {
        /// The URL of the token server.
        realm: String,
        /// The certificate that signs the tokens, in PEM format.
        certificate: String,
    },
}

/// The registry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The program is not installed.
    #[error(
        "no `docker-registry` on PATH: `apt-get install -y --no-install-recommends docker-registry apache2-utils`"
    )]
    Missing,
    /// A file could not be written, or the program could not be started.
    #[error("cannot set up the registry")]
    Io(#[from] io::Error),
    #[error("cannot create a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The password could not be hashed.
    #[error("cannot hash the password")]
    Password(#[from] bcrypt::BcryptError),
    /// It stopped, or did not answer in time.
    #[error("the registry does not answer; the end of its log: {log}")]
    NotReady {
        /// The end of its output.
        log: String,
    },
}

/// A request that the registry answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// For example `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

impl LoggedRequest {
    /// Whether it could change something.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

impl RegistryPeer {
    /// The only user.
    pub const USER: &'static str = "fleet";
    /// The password of the only user.
    pub const PASSWORD: &'static str = "correct horse battery staple";
    /// The name of the registry for token servers.
    pub const SERVICE: &'static str = "harmony-test";

    /// Starts a registry with TLS and a password, and waits until it answers.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn start() -> Result<Self, PeerError> {
        Self::start_with(Protection::TlsAndPassword).await
    }

    /// Starts a registry, and waits until it answers.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn start_with(protection: Protection) -> Result<Self, PeerError> {
        Self::launch(Ipv4Addr::LOCALHOST, protection).await
    }

    /// Starts a registry with TLS and a password on this address, which pods of the local node can reach.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn start_on(address: Ipv4Addr) -> Result<Self, PeerError> {
        Self::launch(address, Protection::TlsAndPassword).await
    }

    async fn launch(address: Ipv4Addr, protection: Protection) -> Result<Self, PeerError> {
        let program = find_program().ok_or(PeerError::Missing)?;
        let port = TcpListener::bind((address, 0))?.local_addr()?.port();
        let host = RegistryHost::parse(format!("{address}:{port}"))
            .map_err(|error| io::Error::other(error.to_string()))?;
        let folder = tempfile::Builder::new()
            .prefix("harmony-registry-")
            .tempdir()?;
        write_configuration(folder.path(), address, port, &protection)?;
        let mut peer = Self {
            folder,
            host,
            address,
            port,
            program,
            process: None,
        };
        peer.restart().await?;
        Ok(peer)
    }

    /// The host and port.
    pub fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// The registry with a path prefix.
    ///
    /// # Panics
    /// If `project` is not a valid repository path.
    pub fn location(&self, project: &str) -> RegistryLocation {
        let project = Repository::parse(project).expect("a test names a legal project");
        RegistryLocation::new(self.host.clone(), Some(project)).expect("a test's project is short")
    }

    /// The certificate of its authority, in PEM format.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A directory with only that certificate, for `skopeo --cert-dir` and Docker.
    pub fn ca_folder(&self) -> PathBuf {
        self.folder.path().join("certs.d")
    }

    /// Settings with its user, password and authority, ignoring the environment.
    pub fn settings(&self) -> RegistrySettings {
        RegistrySettings::new(Environment::default())
            .with_credentials(Credentials::new(Self::USER, Self::PASSWORD))
            .with_ca_file(self.ca_file())
    }

    /// Where it stores its content.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// All requests it has answered, in the order of their answers.
    ///
    /// # Errors
    /// Its access log cannot be read.
    pub fn requests(&self) -> io::Result<Vec<LoggedRequest>> {
        let log = fs::read_to_string(self.folder.path().join("access.log"))?;
        Ok(log.lines().filter_map(read_log_line).collect())
    }

    /// Kills it with SIGKILL; its storage stays.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It does not matter if it has already ended.
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Starts it again on the same port and storage, and waits until it answers.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn restart(&mut self) -> Result<(), PeerError> {
        self.kill();
        let folder = self.folder.path();
        let process = Command::new(&self.program)
            .arg("serve")
            .arg(folder.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(append(&folder.join("access.log"))?)
            .stderr(append(&folder.join("error.log"))?)
            .spawn()?;
        self.process = Some(process);
        let ready = async {
            while tokio::net::TcpStream::connect((self.address, self.port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answers = tokio::time::timeout(START_TIMEOUT, ready).await.is_ok();
        let runs = self
            .process
            .as_mut()
            .is_some_and(|process| matches!(process.try_wait(), Ok(None)));
        if answers && runs {
            return Ok(());
        }
        let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        Err(PeerError::NotReady {
            log: last.into_iter().rev().collect::<Vec<_>>().join(" | "),
        })
    }
}

impl Drop for RegistryPeer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn find_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    ["docker-registry", "registry"].iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
    })
}

fn write_configuration(
    folder: &Path,
    address: Ipv4Addr,
    port: u16,
    protection: &Protection,
) -> Result<(), PeerError> {
    let own = address.to_string();
    let file = |name: &str| folder.join(name).display().to_string();
    let tls = match protection {
        Protection::TlsAndPassword | Protection::TlsFor(_) | Protection::SelfSigned => format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            file("server.crt"),
            file("server.key")
        ),
        Protection::Open | Protection::Tokens { .. } => String::new(),
    };
    let mut auth = String::new();
    match protection {
        Protection::Open => {}
        Protection::SelfSigned => {
            let server = certificates::self_signed(&own)?;
            fs::write(folder.join("ca.crt"), &server.certificate)?;
            fs::write(folder.join("server.crt"), &server.certificate)?;
            fs::write(folder.join("server.key"), &server.key)?;
        }
        Protection::TlsAndPassword | Protection::TlsFor(_) => {
            let name = match protection {
                Protection::TlsFor(name) => name,
                _ => &own,
            };
            let authority = Authority::new("Harmony test authority")?;
            let server = authority.issue(name)?;
            fs::write(folder.join("ca.crt"), authority.certificate())?;
            fs::create_dir(folder.join("certs.d"))?;
            fs::write(folder.join("certs.d/ca.crt"), authority.certificate())?;
            fs::write(folder.join("server.crt"), &server.certificate)?;
            fs::write(folder.join("server.key"), &server.key)?;
            // The cheapest hash that distribution accepts: it is computed for every request.
            let hash = bcrypt::hash(RegistryPeer::PASSWORD, 4)?;
            fs::write(
                folder.join("htpasswd"),
                format!("{}:{hash}\n", RegistryPeer::USER),
            )?;
            auth = format!(
                "auth:\n  htpasswd:\n    realm: harmony\n    path: {}\n",
                file("htpasswd")
            );
        }
        Protection::Tokens { realm, certificate } => {
            fs::write(folder.join("tokens.crt"), certificate)?;
            auth = format!(
                "auth:\n  token:\n    realm: {realm}\n    service: {}\n    issuer: {}\n    rootcertbundle: {}\n",
                RegistryPeer::SERVICE,
                RegistryPeer::SERVICE,
                file("tokens.crt")
            );
        }
    }
    let configuration = format!(
        "version: 0.1\n\
         log:\n  level: info\n  accesslog:\n    disabled: false\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: {address}:{port}\n  secret: only-for-this-test\n{tls}{auth}",
        file("storage")
    );
    fs::create_dir(folder.join("storage"))?;
    fs::write(folder.join("config.yml"), configuration)?;
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Reads the Combined Log Format: `127.0.0.1 - - [time] "HEAD /v2/ HTTP/2.0" 401 87 "" "harmony/0.1.0"`.
fn read_log_line(line: &str) -> Option<LoggedRequest> {
    let mut quoted = line.split('"');
    let mut request = quoted.nth(1)?.split(' ');
    let status = quoted.next()?.split_whitespace().next()?.parse().ok()?;
    Some(LoggedRequest {
        method: request.next()?.to_owned(),
        path: request.next()?.to_owned(),
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_access_log_is_read() {
        let line = r#"127.0.0.1 - fleet [21/Nov/2026:11:00:00 +0000] "PUT /v2/a/manifests/1?x=y HTTP/2.0" 201 0 "" "harmony/0.1.0""#;
        let request = read_log_line(line).expect("a line of the log");
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.status
            ),
            ("PUT", "/v2/a/manifests/1?x=y", 201)
        );
        assert!(request.writes());
        assert_eq!(
            read_log_line("time=\"2026\" level=info msg=\"listening\""),
            None
        );
    }
}
