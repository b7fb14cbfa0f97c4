//! Compares the builders of images, and shows the result.

use crate::{command, peers};

/// The page that the test writes.
const PAGE: &str = "docs/reference/builders.md";

pub(crate) fn run() -> anyhow::Result<()> {
    let environment = peers::ensure()?;
    let mut test = command::cargo(&["test", "--quiet", "--workspace", "--test", "builders"]);
    test.envs(environment).env("HARMONY_WRITE_DOCS", "1");
    command::run(&mut test)?;
    let page = std::fs::read_to_string(command::root().join(PAGE))?;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        println!("{line}");
    }
    println!("xtask: wrote {PAGE}");
    Ok(())
}
