//! The page with the table of all faults.

use std::fmt::Write as _;

use crate::road::{Road, Verdict};
use crate::table::Fault;

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/reference/faults.md"
);
const BEGIN: &str = "<!-- written by `cargo xtask faults` -->\n";
const END: &str = "<!-- end -->\n";

/// A fault and its verdicts, in the order of the roads.
pub(crate) type Row = (&'static Fault, Vec<Verdict>);

/// The table: one row for each fault, and the time that each delivery needs in comparison with the first one.
pub(crate) fn table(roads: &[Road], rows: &[Row]) -> String {
    let names: Vec<_> = roads.iter().map(|road| road.name).collect();
    let mut table = format!(
        "| fault | code | cause | {} |\n| --- | --- | --- |{}\n",
        names.join(" | "),
        " ---: |".repeat(roads.len())
    );
    for (fault, verdicts) in rows {
        let first = &verdicts[0];
        let _ = write!(
            table,
            "| {} | {} | {} | {:.1} s |",
            fault.title,
            first.code,
            first.cause,
            first.after.as_secs_f32()
        );
        for other in &verdicts[1..] {
            let more = other.after.as_secs_f32() - first.after.as_secs_f32();
            let _ = write!(table, " {more:+.1} s |");
        }
        table.push('\n');
    }
    table
}

/// Writes the table to the page.
pub(crate) fn write(table: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(PAGE)?;
    let (head, _, tail) = parts(&page)?;
    std::fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}"))?;
    Ok(())
}

/// Fails unless the page has a row with the title and the code of each fault.
pub(crate) fn check(faults: &[Fault]) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(PAGE)?;
    let (_, table, _) = parts(&page)?;
    let written: Vec<_> = table
        .lines()
        .skip(2)
        .filter_map(|line| line.rsplit_once('|').map(|_| line.split(" | ").take(2)))
        .map(|columns| columns.collect::<Vec<_>>().join(" | "))
        .collect();
    let wanted: Vec<_> = faults
        .iter()
        .map(|fault| format!("| {} | {}", fault.title, fault.code))
        .collect();
    anyhow::ensure!(
        written == wanted,
        "run `cargo xtask faults` to update {PAGE}: it has {written:#?}, and the faults are {wanted:#?}"
    );
    Ok(())
}

fn parts(page: &str) -> anyhow::Result<(&str, &str, &str)> {
    let found = page
        .split_once(BEGIN)
        .and_then(|(head, rest)| rest.split_once(END).map(|(table, tail)| (head, table, tail)));
    found.ok_or_else(|| anyhow::anyhow!("{PAGE} has no place for the table"))
}
