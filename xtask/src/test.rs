//! Runs all tests, in the order of what they need: nothing, a server, a node.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{command, peers, tidy};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only unit tests and documentation tests, which need no servers
    #[arg(long)]
    fast: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let began = Instant::now();
    tidy::run(&tidy::Args::default())?;
    let mut tally = Tally::default();
    if args.fast {
        cargo_test(&["--workspace", "--lib", "--bins"], &[], &mut tally)?;
        cargo_test(&["--workspace", "--doc"], &[], &mut tally)?;
    } else {
        run_everything(began, &mut tally)?;
    }
    println!("xtask: all tests took {} s", began.elapsed().as_secs());
    println!("{} passed, {} failed", tally.passed, tally.failed);
    anyhow::ensure!(tally.well && tally.failed == 0, "tests failed");
    Ok(())
}

/// With real servers and a real node. If the node was not running before, it is stopped at the end.
fn run_everything(began: Instant, tally: &mut Tally) -> anyhow::Result<()> {
    let environment = peers::ensure()?;
    println!(
        "xtask: servers are installed after {} s; compiling",
        began.elapsed().as_secs()
    );
    let all = ["build", "--workspace", "--all-targets", "--locked"];
    command::run(&mut command::cargo(&all))?;
    println!(
        "xtask: compiled after {} s; starting the local node",
        began.elapsed().as_secs()
    );
    let node = command::target_dir().join("debug/harmony-node");
    let ran_before = Command::new(&node)
        .arg("status")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success();
    command::run(Command::new(&node).arg("up"))?;
    let tested = cargo_test(&["--workspace", "--locked"], &environment, tally);
    if !ran_before {
        command::run(Command::new(&node).arg("down"))?;
    }
    tested
}

pub(crate) fn lint() -> anyhow::Result<()> {
    command::run(&mut command::cargo(&["fmt", "--all", "--check"]))?;
    command::run(&mut command::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

struct Tally {
    passed: u64,
    failed: u64,
    well: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            passed: 0,
            failed: 0,
            well: true,
        }
    }
}

fn cargo_test(
    args: &[&str],
    peers: &[(&'static str, std::path::PathBuf)],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut command = command::cargo(&["test", "--no-fail-fast"]);
    command
        .args(args)
        .envs(peers.iter().map(|(name, path)| (name, path)));
    let well = command::run_lines(&mut command, |line| {
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            tally.passed += count(result, "passed");
            tally.failed += count(result, "failed");
        }
    })?;
    tally.well &= well;
    Ok(())
}

/// The number before a word: `ok. 12 passed; 0 failed; ...`.
fn count(result: &str, word: &str) -> u64 {
    let before = result.split(word).next().unwrap_or_default();
    before
        .split_whitespace()
        .last()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_of_a_result_line_are_read() {
        let line =
            "FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        assert_eq!(
            (
                count(line, "passed"),
                count(line, "failed"),
                count(line, "frobbed")
            ),
            (12, 3, 0)
        );
    }
}
