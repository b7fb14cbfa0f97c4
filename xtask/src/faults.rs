//! Deploys broken apps by all deliveries, kills deliveries and controllers, and writes what was seen.

use crate::{command, peers};

/// The page that the tests write.
const PAGE: &str = "docs/reference/faults.md";

/// The tests, each of which writes a table.
const TESTS: &[&str] = &["faults", "controllers", "interrupted"];

/// Cuts the power of simulated devices at each operation of the agent's store.
const STORE: &str = "store";
/// How often. A run of all tests takes a sample.
const CUT_POINTS: u32 = 12_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only these tests
    #[arg(value_parser = clap::builder::PossibleValuesParser::new([TESTS, &[STORE]].concat()))]
    tests: Vec<String>,
    /// Deploy only these faults, by their names in the table of the test `faults`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.tests.is_empty() || args.tests.iter().any(|test| test == STORE) {
        cut_store()?;
        if args.tests == [STORE] {
            return Ok(());
        }
    }
    let environment = peers::ensure()?;
    let selected = TESTS.iter().filter(|test| {
        args.tests.is_empty() || args.tests.iter().any(|selected| selected == *test)
    });
    for test in selected {
        let mut command =
            command::cargo(&["test", "--workspace", "--test", test, "--", "--nocapture"]);
        command
            .envs(environment.iter().map(|(name, path)| (name, path)))
            .env("HARMONY_FAULTS", args.only.join(","))
            .env("HARMONY_WRITE_DOCS", "1");
        command::run(&mut command)?;
    }
    let page = std::fs::read_to_string(command::root().join(PAGE))?;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        println!("{line}");
    }
    println!("xtask: wrote {PAGE}");
    Ok(())
}

fn cut_store() -> anyhow::Result<()> {
    let mut command = command::cargo(&["test", "--workspace", "--test", "workload"]);
    command
        .args(["--", "--nocapture", "cut_points"])
        .env("HARMONY_CUT_POINTS", CUT_POINTS.to_string());
    command::run(&mut command)
}
