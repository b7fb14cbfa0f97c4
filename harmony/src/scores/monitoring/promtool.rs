//! Checks rules with `promtool`, where it is installed.

use std::io::Write as _;

use harmony_core::process;

use super::error::MonitoringError;
use super::{MonitoringScore, plain};

/// How many lines of its output are shown.
const LINES: usize = 20;

/// Checks the rules before anything is written. Without `promtool` on `PATH`, Prometheus is the first to see them.
pub(super) async fn check(score: &MonitoringScore) -> Result<(), MonitoringError> {
    if score.rules.is_empty() || process::find("promtool").is_none() {
        return Ok(());
    }
    let text = plain::rules_file(score);
    // A promtool that cannot be started is as good as none.
    let Ok(Some(output)) = tokio::task::spawn_blocking(move || run(&text).ok()).await else {
        return Ok(());
    };
    if output.status.success() {
        return Ok(());
    }
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Err(MonitoringError::Rules {
        name: score.name.clone(),
        output: lines.take(LINES).map(str::to_owned).collect(),
    })
}

fn run(rules: &str) -> std::io::Result<std::process::Output> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(rules.as_bytes())?;
    process::command("promtool", &[])
        .args(["check", "rules"])
        .arg(file.path())
        .output()
}
