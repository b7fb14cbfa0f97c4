//! Running a program: its lines become progress, and it is stopped together with the run.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use harmony_core::context::{Cancelled, Context};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// The number of last lines in an error.
pub(crate) const KEPT_LINES: usize = 40;

/// The maximum length of a line, in characters.
const MAX_LINE: usize = 400;

/// The time that a cancelled program has for cleaning up.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// How long to wait for the last output of a program that has exited. A server that it started in the background can
/// keep its output open forever.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The reason why there is no exit status.
#[derive(Debug)]
pub(crate) enum ChildError {
    Start(io::Error),
    Wait(io::Error),
    Cancelled(Cancelled),
}

/// Runs `command` and passes each line of its output to `line`.
///
/// The program runs in its own process group. If the run is cancelled or the future is dropped, the whole group is
/// killed.
pub(crate) async fn run(
    mut command: Command,
    context: &Context,
    mut line: impl FnMut(String),
) -> Result<ExitStatus, ChildError> {
    let mut group = Group::spawn(&mut command).map_err(ChildError::Start)?;
    let (sender, mut lines) = mpsc::channel(64);
    forward(group.child.stdout.take(), sender.clone());
    forward(group.child.stderr.take(), sender);
    let status = loop {
        tokio::select! {
            biased;
            () = context.cancellation().cancelled() => {
                group.end().await;
                return Err(ChildError::Cancelled(Cancelled));
            }
            Some(text) = lines.recv() => line(text),
            status = group.child.wait() => break status,
        }
    };
    group.ended = true;
    let drained = async {
        while let Some(text) = lines.recv().await {
            line(text);
        }
    };
    if tokio::time::timeout(LAST_OUTPUT, drained).await.is_err() {
        tracing::debug!("the output of a program is still open after it exited");
    }
    status.map_err(ChildError::Wait)
}

/// Adds a line to the last lines of a program.
pub(crate) fn keep(last: &mut Vec<String>, line: String) {
    if last.len() == KEPT_LINES {
        last.remove(0);
    }
    last.push(line);
}

/// `exit status 101`
pub(crate) fn describe(status: ExitStatus) -> String {
    // "exit status: 101" reads like a label, and the message already has one
    status.to_string().replacen("status: ", "status ", 1)
}

/// A program and everything that it starts.
struct Group {
    child: Child,
    id: Option<Pid>,
    ended: bool,
}

impl Group {
    fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let id = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self {
            child,
            id,
            ended: false,
        })
    }

    /// Asks all of them to exit, then kills them.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(GRACE, self.child.wait()).await;
        if ended.is_err() {
            self.signal(Signal::KILL);
            let _ = self.child.wait().await;
        }
        self.ended = true;
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // The group may have exited by itself.
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(Signal::KILL);
        }
    }
}

/// Sends each line of `from`, until it ends or the receiver is dropped.
fn forward(from: Option<impl AsyncRead + Unpin + Send + 'static>, to: mpsc::Sender<String>) {
    let Some(from) = from else { return };
    tokio::spawn(async move {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(read) = from.read_until(b'\n', &mut line).await {
            if read == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if !text.is_empty()
                && to
                    .send(text.chars().take(MAX_LINE).collect())
                    .await
                    .is_err()
            {
                break;
            }
            line.clear();
        }
    });
}
