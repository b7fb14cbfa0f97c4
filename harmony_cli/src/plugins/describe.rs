//! The description of a command: the first line of its `--help` output.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use harmony_core::process;
use tokio::io::AsyncReadExt;

use super::Plugin;

/// The time limit for `--help`. The first start of a large program can be slow, because it is read from disk.
const PATIENCE: Duration = Duration::from_secs(3);

/// Larger than any first line of a help text; the rest is not read.
const ENOUGH: u64 = 64 * 1024;

/// The description of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Description {
    /// The first line of its help text.
    Line(String),
    /// There is none, for this reason.
    Broken(String),
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Broken(why) => write!(f, "(broken: {why})"),
        }
    }
}

/// Runs a plugin with `--help`. A plugin that takes longer than three seconds is killed.
pub async fn describe(plugin: &Plugin) -> Description {
    match tokio::time::timeout(PATIENCE, ask(plugin)).await {
        Ok(description) => description,
        Err(_) => Description::Broken(format!(
            "no answer to --help within {} s",
            PATIENCE.as_secs()
        )),
    }
}

async fn ask(plugin: &Plugin) -> Description {
    let child = process::async_command(plugin.path(), &[])
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Description::Broken(format!("cannot be started: {error}")),
    };
    let mut help = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // the output before an error may contain the line
        let _ = stdout.take(ENOUGH).read_to_end(&mut help).await;
    }
    let help = String::from_utf8_lossy(&help);
    if help.len() as u64 >= ENOUGH {
        // dropping the child kills it
        return first_line(&help);
    }
    match child.wait().await {
        Ok(status) if status.success() => first_line(&help),
        Ok(status) => Description::Broken(format!("--help exited with {status}")),
        Err(error) => Description::Broken(error.to_string()),
    }
}

fn first_line(help: &str) -> Description {
    let plain = harmony_types::printable::text(help);
    match plain.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => Description::Line(line.trim_end_matches('.').to_owned()),
        None => Description::Broken("--help prints nothing".into()),
    }
}
