//! Deploys broken apps by all deliveries, kills deliveries and controllers, and writes what was seen.

use crate::{command, peers};

/// The page that the tests write.
const PAGE: &str = "docs/reference/faults.md";

/// The tests, each of which writes a table.
const TESTS: &[&str] = &["faults", "controllers", "interrupted"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only these tests
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TESTS))]
    tests: Vec<String>,
    /// Deploy only these faults, by their names in the table of the test `faults`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
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
