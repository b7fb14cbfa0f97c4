//! A BuildKit daemon for one test, with everything it has in a temporary directory.

use std::env;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harmony_containers::{BuildKitBuilder, BuildKitEndpoint};
use harmony_core::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// A running daemon; it ends when this is dropped.
pub(crate) struct BuildKitDaemon {
    directory: tempfile::TempDir,
    daemon: Child,
}

impl BuildKitDaemon {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a daemon with these arguments as well.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "buildkitd runs steps as root: run these tests as root"
        );
        // A short path: the address of a socket has at most 108 bytes.
        let directory = tempfile::Builder::new()
            .prefix("buildkitd-")
            .tempdir_in("/tmp")
            .expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let log = File::create(at("log")).expect("a log file");
        let daemon = Command::new(program("HARMONY_BUILDKITD", "buildkitd"))
            .arg("--config=/dev/null")
            .args([Path::new("--root"), &at("root")])
            .args(["--addr", &format!("unix://{}", at("sock").display())])
            // No overlay file system on top of another, no change to the machine's network.
            .args([
                "--oci-worker-snapshotter=native",
                "--oci-worker-net=host",
                "--containerd-worker=false",
            ])
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("buildkitd starts");
        let mut started = Self { directory, daemon };
        let begin = Instant::now();
        while UnixStream::connect(started.socket()).is_err() {
            let ended = started.daemon.try_wait().expect("the state of buildkitd");
            assert!(
                ended.is_none() && begin.elapsed() < START,
                "buildkitd did not start ({ended:?}): {}",
                started.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        started
    }

    pub(crate) fn endpoint(&self) -> BuildKitEndpoint {
        let endpoint = format!("unix://{}", self.socket().display());
        endpoint.parse().expect("an address")
    }

    /// A builder that uses this daemon, with a cache in `work`.
    pub(crate) fn builder(&self, context: &Context, work: &Path) -> BuildKitBuilder {
        builder(context, work, self.endpoint())
    }

    /// What the daemon printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }
}

/// A builder with the client of the tests.
pub(crate) fn builder(
    context: &Context,
    work: &Path,
    endpoint: BuildKitEndpoint,
) -> BuildKitBuilder {
    BuildKitBuilder::new(context.clone(), work.join("buildkit"), endpoint)
        .with_client(program("HARMONY_BUILDCTL", "buildctl"))
}

#[allow(clippy::panic, reason = "a test fails by panicking")]
fn program(variable: &str, name: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let found = named.or_else(|| harmony_core::process::find(name));
    found.unwrap_or_else(|| {
        panic!("these tests need {name}: run them with `cargo xtask test`, or set {variable}")
    })
}

impl Drop for BuildKitDaemon {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.daemon.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        let _ = kill_process(pid, Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < STOP && matches!(self.daemon.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.daemon.wait();
    }
}
