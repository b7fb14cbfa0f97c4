//! A Docker Engine for one test: Debian's `dockerd`, with everything it has in a temporary directory.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// A running engine; it ends when this is dropped.
pub(crate) struct DockerEngine {
    directory: tempfile::TempDir,
    daemon: Child,
}

impl DockerEngine {
    /// Starts an engine in a network namespace of its own, in which it has the bridge that steps with `RUN` need.
    pub(crate) fn start() -> Self {
        let dockerd = ["/usr/sbin/dockerd", "/usr/bin/dockerd"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.exists())
            .expect("these tests need Docker Engine: apt-get install -y --no-install-recommends docker.io");
        assert!(
            rustix::process::geteuid().is_root(),
            "dockerd runs as root only: run these tests as root"
        );
        // A short path: the address of a socket has at most 108 bytes.
        let directory = tempfile::Builder::new()
            .prefix("dockerd-")
            .tempdir_in("/tmp")
            .expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let log = File::create(at("log")).expect("a log file");
        let daemon = Command::new("unshare")
            .args([Path::new("--net"), Path::new("--"), dockerd])
            .args(["--host", &format!("unix://{}", at("sock").display())])
            .args([Path::new("--data-root"), &at("data")])
            .args([Path::new("--exec-root"), &at("exec")])
            .args([Path::new("--pidfile"), &at("pid")])
            // No overlay file system on top of another.
            .args([
                "--storage-driver=vfs",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("dockerd starts");
        let mut engine = Self { directory, daemon };
        let begin = Instant::now();
        while UnixStream::connect(engine.socket()).is_err() {
            let ended = engine.daemon.try_wait().expect("the state of dockerd");
            assert!(
                ended.is_none() && begin.elapsed() < START,
                "dockerd did not start ({ended:?}): {}",
                fs::read_to_string(engine.directory.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        engine
    }

    /// As `DOCKER_HOST` has it.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// `docker load`, by the stock client.
    pub(crate) fn load(&self, archive: &Path) {
        let output = Command::new("docker")
            .args(["--host", &self.endpoint(), "load", "--input"])
            .arg(archive)
            .output()
            .expect("the docker client runs; it is in Debian's docker.io");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.daemon.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        // Asked, it ends its containerd as well.
        let _ = kill_process(pid, Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < STOP && matches!(self.daemon.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.daemon.wait();
    }
}
