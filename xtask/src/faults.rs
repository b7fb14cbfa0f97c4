//! Deploys broken apps by all deliveries and to a device, kills deliveries and controllers, and writes what was seen.

use crate::{command, peers};

/// The page that the tests write.
const PAGE: &str = "docs/reference/faults.md";

/// The tests, each of which writes a table.
const TESTS: &[&str] = &["faults", "controllers", "interrupted"];

/// Cuts the power of simulated devices at each operation of the agent's store.
const STORE: &str = "store";
/// How often. A run of all tests takes a sample.
const CUT_POINTS: u32 = 12_000;

/// Applies releases that cannot work to a device.
const RELEASES: &str = "releases";
/// The page that it writes.
const RELEASES_PAGE: &str = "docs/reference/bad-releases.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only these tests
    #[arg(value_parser = clap::builder::PossibleValuesParser::new([TESTS, &[STORE, RELEASES]].concat()))]
    tests: Vec<String>,
    /// Deploy only these faults, by their names in the table of the test `faults`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let is_selected = |test: &str| args.tests.is_empty() || args.tests.iter().any(|it| it == test);
    if is_selected(STORE) {
        cut_store()?;
    }
    if is_selected(RELEASES) {
        apply_releases()?;
    }
    let selected: Vec<&str> = TESTS.iter().copied().filter(|it| is_selected(it)).collect();
    if selected.is_empty() {
        return Ok(());
    }
    let environment = peers::ensure()?;
    for test in selected {
        let mut command =
            command::cargo(&["test", "--workspace", "--test", test, "--", "--nocapture"]);
        command
            .envs(environment.iter().map(|(name, path)| (name, path)))
            .env("HARMONY_FAULTS", args.only.join(","))
            .env("HARMONY_WRITE_DOCS", "1");
        command::run(&mut command)?;
    }
    show(PAGE)
}

/// Prints the tables of a page.
fn show(page: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(command::root().join(page))?;
    for line in text.lines().filter(|line| line.starts_with('|')) {
        println!("{line}");
    }
    println!("xtask: wrote {page}");
    Ok(())
}

fn apply_releases() -> anyhow::Result<()> {
    let environment = peers::ensure()?;
    let agent = ["build", "--workspace", "--bin", "harmony-fleet-agent"];
    command::run(&mut command::cargo(&agent))?;
    let mut command = command::cargo(&["test", "--workspace", "--test", "device"]);
    command
        .args(["--", "--nocapture", "bad_releases"])
        .envs(environment.iter().map(|(name, path)| (name, path)))
        .env("HARMONY_WRITE_DOCS", "1");
    command::run(&mut command)?;
    show(RELEASES_PAGE)
}

fn cut_store() -> anyhow::Result<()> {
    let mut command = command::cargo(&["test", "--workspace", "--test", "workload"]);
    command
        .args(["--", "--nocapture", "cut_points"])
        .env("HARMONY_CUT_POINTS", CUT_POINTS.to_string());
    command::run(&mut command)
}
