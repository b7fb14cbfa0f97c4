//! Starting the programs under test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The `demo` example of this crate, which cargo builds beside the tests.
pub(crate) fn demo(directory: &tempfile::TempDir) -> Command {
    let mut path = std::env::current_exe().expect("this test's file");
    path.pop();
    path.pop();
    let path: PathBuf = path.join("examples").join("demo");
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build -p harmony_cli --example demo`",
        path.display()
    );
    command(path, directory)
}

pub(crate) fn harmony(directory: &tempfile::TempDir) -> Command {
    command(env!("CARGO_BIN_EXE_harmony").into(), directory)
}

fn command(program: PathBuf, directory: &tempfile::TempDir) -> Command {
    let mut command = Command::new(program);
    command
        .env("DEMO_DIR", directory.path().join("state"))
        .env_remove("RUST_LOG")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// A run that ended, as text.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(mut command: Command) -> Ended {
    Ended::from(command.output().expect("the program starts"))
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// A program that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stderr: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("its stderr"));
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            stderr: receiver,
        }
    }

    /// Waits until a line of stderr holds `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        let mut seen = Vec::new();
        let found = loop {
            match self.stderr.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => break true,
                Ok(line) => seen.push(line),
                Err(_) => break false,
            }
        };
        assert!(found, "`{text}` was not printed: {seen:?}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Its exit code, and what else it printed to stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        while self.child.try_wait().expect("its status").is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let code = self.child.wait().expect("its status").code();
        let rest: Vec<String> = self.stderr.iter().collect();
        (code, rest.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
