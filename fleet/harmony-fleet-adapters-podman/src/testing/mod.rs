//! A real podman for tests, with its own storage and its own service.
//!
//! Needs Debian's `podman` and `busybox-static`, and root. Without them, a test fails and the error says how to install
//! them; nothing is skipped.

mod image;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyper::Method;
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::client::{Call, CallError, Client};
use crate::{Podman, PodmanSettings, processes};

pub use image::TestImage;

/// The timeout until the service answers.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A podman service with its own storage, in a temporary folder. Dropping it removes its containers and deletes everything.
#[derive(Debug)]
pub struct PodmanPeer {
    folder: TempDir,
    service: Option<Child>,
}

/// There is no podman for the test. `Debug` shows the same text as `Display`, because tests show errors with `unwrap`.
#[derive(thiserror::Error)]
pub enum PeerError {
    /// The program cannot be started.
    #[error("cannot start `podman`: `apt-get install -y --no-install-recommends podman`")]
    Missing(#[source] io::Error),
    /// A file could not be written or read.
    #[error("cannot set up podman: {0}")]
    Io(#[from] io::Error),
    /// It stopped, or did not answer in time.
    #[error("podman does not answer; its log:\n{log}")]
    NotReady {
        /// Its output.
        log: String,
    },
    /// It refused a request of the test.
    #[error("podman refused: {0}")]
    Refused(String),
}

impl std::fmt::Debug for PeerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl From<CallError> for PeerError {
    fn from(error: CallError) -> Self {
        Self::Refused(harmony_fleet_domain::ErrorChain(&error).to_string())
    }
}

impl PodmanPeer {
    /// Starts a service, and waits until it answers.
    pub async fn start() -> Result<Self, PeerError> {
        Self::start_with_registries("").await
    }

    /// Starts a service with this `registries.conf`, for example to use a registry without TLS.
    pub async fn start_with_registries(registries: &str) -> Result<Self, PeerError> {
        let mut peer = Self::prepare(registries)?;
        peer.start_again().await?;
        Ok(peer)
    }

    fn prepare(registries: &str) -> Result<Self, PeerError> {
        let folder = tempfile::Builder::new()
            .prefix("harmony-podman-")
            .tempdir()?;
        // Root in a container of a CI machine may not raise limits, and a lock of its own keeps the containers of the
        // machine's user out of the way.
        fs::write(
            folder.path().join("containers.conf"),
            "[containers]\ndefault_ulimits = []\n[engine]\nlock_type = \"file\"\n",
        )?;
        fs::write(folder.path().join("registries.conf"), registries)?;
        Ok(Self {
            folder,
            service: None,
        })
    }

    /// Starts a service whose storage has a disk of its own with this size, in bytes.
    pub async fn start_with_disk_of(bytes: u64, registries: &str) -> Result<Self, PeerError> {
        let mut peer = Self::prepare(registries)?;
        let root = peer.path("root");
        fs::create_dir(&root)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={bytes}"))
            .arg("tmpfs")
            .arg(&root)
            .status()?;
        if !mounted.success() {
            return Err(PeerError::Refused("cannot mount a tmpfs".into()));
        }
        peer.start_again().await?;
        Ok(peer)
    }

    /// Kills the service. Containers keep running.
    pub fn kill(&mut self) {
        if let Some(mut service) = self.service.take() {
            // Both fail only if it has already ended.
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    /// Starts the service again, with the same storage and socket.
    pub async fn start_again(&mut self) -> Result<(), PeerError> {
        self.kill();
        // What a killed service left: podman would refuse to listen.
        let _ = fs::remove_file(self.socket());
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("podman.log"))?;
        let errors = log.try_clone()?;
        let service = self
            .command(&["system", "service", "--time", "0"])
            .arg(format!("unix://{}", self.socket().display()))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(PeerError::Missing)?;
        self.service = Some(service);
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if self.client().send(Call::get("/version")).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill();
        Err(PeerError::NotReady {
            log: fs::read_to_string(self.path("podman.log")).unwrap_or_default(),
        })
    }

    /// The socket of the service.
    pub fn socket(&self) -> PathBuf {
        self.path("podman.sock")
    }

    /// The adapter for this service.
    pub fn podman(&self) -> Podman {
        Podman::new(PodmanSettings::new(self.socket()))
    }

    /// Loads an image.
    pub async fn load(&self, image: &TestImage) -> Result<(), PeerError> {
        let call = Call::post("/images/load").bytes(image.archive()?, "application/x-tar");
        self.client().send(call).await?;
        Ok(())
    }

    /// `podman secret create`.
    pub async fn create_secret(&self, name: &str, value: &str) -> Result<(), PeerError> {
        let call = Call::post(format!("/secrets/create?name={name}"))
            .bytes(value.as_bytes().to_vec(), "text/plain");
        self.client().send(call).await?;
        Ok(())
    }

    /// Any request to the libpod API, with a JSON body, for what only tests do. The path starts after `/libpod`.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<serde_json::Value, PeerError> {
        let method: Method = method
            .parse()
            .map_err(|_| PeerError::Refused(format!("`{method}` is no method")))?;
        let mut call = Call::new(method, path);
        if let Some(body) = body {
            call = call.json(body)?;
        }
        let answer = self.client().send(call).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    fn client(&self) -> Client {
        Client {
            socket: self.socket(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `podman` with these arguments and the same storage.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"))
            .current_dir(self.folder.path())
            .arg("--root")
            .arg(self.path("root"))
            .arg("--runroot")
            .arg(self.path("run"))
            .arg("--tmpdir")
            .arg(self.path("tmp"))
            .args(["--cgroup-manager", "cgroupfs"])
            .args(arguments);
        command
    }
}

impl Drop for PodmanPeer {
    fn drop(&mut self) {
        let removed = self
            .command(&["rm", "--all", "--force", "--time", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        self.kill();
        if removed.is_err() {
            return;
        }
        // Podman's processes for commands in containers stay for minutes, and would then write into the folder again.
        for process in processes::with_argument_in(self.folder.path()) {
            let _ = kill_process(process, Signal::KILL);
        }
        for mount in mounts_in(self.folder.path()) {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

/// What is mounted in a folder, innermost first.
fn mounts_in(folder: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut inside: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(folder))
        .collect();
    inside.sort();
    inside.reverse();
    inside
}
