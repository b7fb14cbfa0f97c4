//! Runs all tests, in the order of what they need: nothing, a server, a node.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use cargo_metadata::MetadataCommand;

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
        tally += cargo_test(&UNIT_TESTS, &Suite::default())?;
        tally += cargo_test(&["--doc"], &Suite::default())?;
    } else {
        tally += run_everything(began)?;
    }
    println!("xtask: all tests took {} s", began.elapsed().as_secs());
    println!("{} passed, {} failed", tally.passed, tally.failed);
    anyhow::ensure!(tally.well && tally.failed == 0, "tests failed");
    Ok(())
}

/// With real servers and a real node. If the node was not running before, it is stopped at the end.
fn run_everything(began: Instant) -> anyhow::Result<Tally> {
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
    let tested = run_suites(&environment);
    if !ran_before {
        command::run(Command::new(&node).arg("down"))?;
    }
    tested
}

/// First the suites that wait for the cluster, beside those that need only this machine. Then the end-to-end tests in two
/// groups of about the same length, beside all others.
fn run_suites(environment: &Environment) -> anyhow::Result<Tally> {
    let suite = |prefix, threads| Suite {
        environment,
        prefix,
        threads,
    };
    let alone = suite("", None);
    let tests = |names: &'static [&str], suite| move || cargo_test(&tests(names), &suite);
    let machine = || {
        let mut tally = cargo_test(&UNIT_TESTS, &alone)?;
        tally += cargo_test(&["--doc"], &alone)?;
        tally += cargo_test(&self::tests(MACHINE), &alone)?;
        Ok(tally)
    };
    let cluster = tests(WAITING, suite("[cluster] ", Some(WAITING_THREADS)));
    let mut tally = beside(vec![Box::new(cluster), Box::new(machine)])?;
    let others = other_suites()?;
    let others = || {
        let names: Vec<&str> = others.iter().map(String::as_str).collect();
        cargo_test(&self::tests(&names), &alone)
    };
    tally += beside(vec![
        Box::new(tests(INTERRUPTED, suite("[interrupted] ", None))),
        Box::new(tests(EXAMPLES, suite("[examples] ", None))),
        Box::new(others),
    ])?;
    Ok(tally)
}

type Part<'a> = Box<dyn FnOnce() -> anyhow::Result<Tally> + Send + 'a>;

/// Runs all parts at the same time.
fn beside(parts: Vec<Part<'_>>) -> anyhow::Result<Tally> {
    std::thread::scope(|scope| {
        let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(part)).collect();
        let mut tally = Tally::default();
        for part in running {
            tally += part
                .join()
                .map_err(|_| anyhow::anyhow!("a suite panicked"))??;
        }
        Ok(tally)
    })
}

/// Suites that mostly wait for the cluster. The last two change definitions that the whole cluster shares, so no test that
/// needs them may run at the same time.
const WAITING: &[&str] = &[
    "charts",
    "cluster",
    "delivery",
    "controllers",
    "prometheus_operator",
];
/// How many of their tests run at the same time.
const WAITING_THREADS: usize = 4;
/// Suites that need this machine alone, and use all of it: they run the compiler.
const MACHINE: &[&str] = &["compile_fail"];
/// End-to-end tests of the examples, which compile little and wait for the cluster.
const EXAMPLES: &[&str] = &["argocd", "faults", "flux", "flux_kustomize", "monitoring"];
/// More of them, led by the longest.
const INTERRUPTED: &[&str] = &[
    "interrupted",
    "pipeline",
    "tag_to_production",
    "websites",
    "workload",
];
const UNIT_TESTS: [&str; 2] = ["--lib", "--bins"];

/// The names of all other integration tests.
fn other_suites() -> anyhow::Result<BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .current_dir(command::root())
        .no_deps()
        .exec()?;
    let targets = metadata
        .packages
        .iter()
        .flat_map(|package| &package.targets);
    let elsewhere = [WAITING, MACHINE, EXAMPLES, INTERRUPTED].concat();
    let names = targets
        .filter(|target| target.is_test())
        .map(|target| target.name.clone())
        .filter(|name| !elsewhere.contains(&name.as_str()));
    Ok(names.collect())
}

fn tests<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names.iter().flat_map(|name| ["--test", name]).collect()
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

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.well &= other.well;
    }
}

/// The environment variables that name the servers.
type Environment = [(&'static str, PathBuf)];

/// How tests run.
#[derive(Clone, Copy, Default)]
struct Suite<'a> {
    environment: &'a Environment,
    /// Precedes every line, when two suites run at the same time.
    prefix: &'a str,
    /// How many tests run at the same time; by default as many as there are cores.
    threads: Option<usize>,
}

/// Runs these tests of the workspace. All packages are always selected, so that cargo compiles each with the same features.
fn cargo_test(selected: &[&str], suite: &Suite<'_>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut command = command::cargo(&["test", "--no-fail-fast", "--workspace", "--locked"]);
    command
        .args(selected)
        .envs(suite.environment.iter().map(|(name, path)| (name, path)));
    if let Some(threads) = suite.threads {
        command.env("RUST_TEST_THREADS", threads.to_string());
    }
    let prefix = suite.prefix;
    let well = command::run_lines(&mut command, |line| {
        println!("{prefix}{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            tally.passed += count(result, "passed");
            tally.failed += count(result, "failed");
        }
    })?;
    tally.well &= well;
    Ok(tally)
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
