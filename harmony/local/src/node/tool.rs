//! Runs a program of the system until it exits.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use harmony_core::process::{DOCKER, NETWORK, async_command};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::error::LocalNodeError;
use super::files;
use super::process;

const SHOWN_LINES: usize = 12;

/// Runs a program and returns its standard output.
pub(crate) async fn run<A: AsRef<OsStr>>(
    program: &Path,
    args: &[A],
) -> Result<String, LocalNodeError> {
    run_with_input(program, args, "").await
}

/// Like [`run`], with text on its standard input.
pub(super) async fn run_with_input<A: AsRef<OsStr>>(
    program: &Path,
    args: &[A],
    input: &str,
) -> Result<String, LocalNodeError> {
    let mut command = async_command(program, &[NETWORK, DOCKER].concat());
    command.args(args);
    finish(command, input).await
}

/// Runs a command with text on its standard input. It is killed when this future is dropped.
pub(super) async fn finish(mut command: Command, input: &str) -> Result<String, LocalNodeError> {
    let shown = describe(&command);
    command
        .env("PATH", process::search_path())
        .env("LC_ALL", "C")
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(LocalNodeError::process("run", format!("`{shown}`")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that exits before it has read everything reports the reason on its standard error.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(LocalNodeError::process("run", format!("`{shown}`")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LocalNodeError::Tool {
        command: shown,
        status: output.status.to_string(),
        output: files::last_lines(&String::from_utf8_lossy(&output.stderr), SHOWN_LINES),
    })
}

/// The command as a user would type it.
pub(super) fn describe(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
