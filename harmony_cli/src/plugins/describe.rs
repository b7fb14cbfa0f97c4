//! What a command is for: the first line of its `--help`.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use harmony_core::process;
use tokio::io::AsyncReadExt;

use super::Plugin;

/// How long a plugin may take to say what it is for: the first start of a large program reads it from a cold disk.
const PATIENCE: Duration = Duration::from_secs(3);

/// More than any help's first line; the rest is not read.
const ENOUGH: u64 = 64 * 1024;

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Description {
    /// The first line of its help.
    Line(String),
    /// It does not say, and why.
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

/// Asks a plugin with `--help`, for three seconds at most; a plugin that takes longer is ended.
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
        // what was read until an error may hold the line
        let _ = stdout.take(ENOUGH).read_to_end(&mut help).await;
    }
    let help = String::from_utf8_lossy(&help);
    if help.len() as u64 >= ENOUGH {
        // it would go on; dropping the child ends it
        return first_line(&help);
    }
    match child.wait().await {
        Ok(status) if status.success() => first_line(&help),
        Ok(status) => Description::Broken(format!("--help ends with {status}")),
        Err(error) => Description::Broken(error.to_string()),
    }
}

fn first_line(help: &str) -> Description {
    let plain = harmony_types::printable::text(help);
    match plain.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => Description::Line(line.trim_end_matches('.').to_owned()),
        None => Description::Broken("--help says nothing".into()),
    }
}
