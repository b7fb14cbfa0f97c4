//! The reference page with what the tests of deliveries have seen, `docs/reference/faults.md`.
//!
//! Each table is a section between two comments. `cargo xtask faults` writes them again.

use anyhow::Context as _;

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/reference/faults.md"
);

/// Whether the tables are to be written, and everything is to be tried instead of a sample.
pub fn is_written() -> bool {
    std::env::var_os("HARMONY_WRITE_DOCS").is_some()
}

/// Replaces a table of the page.
///
/// # Errors
/// The page has no such section, or cannot be written.
pub fn write(section: &str, table: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(PAGE)?;
    let (head, _, tail) = parts(&page, section)?;
    std::fs::write(PAGE, format!("{head}{table}{tail}"))?;
    Ok(())
}

/// A table of the page.
///
/// # Errors
/// The page has no such section.
pub fn table(section: &str) -> anyhow::Result<String> {
    let page = std::fs::read_to_string(PAGE)?;
    let (_, table, _) = parts(&page, section)?;
    Ok(table.to_owned())
}

/// The first columns of each row of a table, without its head.
///
/// # Errors
/// The page has no such section.
pub fn rows(section: &str, columns: usize) -> anyhow::Result<Vec<Vec<String>>> {
    let table = table(section)?;
    let row = |line: &str| {
        let cells = line.trim_matches('|').split('|').take(columns);
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    Ok(table.lines().skip(2).map(row).collect())
}

/// A number that selects what a run tries, other than a run on another day: `HARMONY_SEED`, or the day.
#[expect(clippy::print_stdout, reason = "says how to run a test again")]
pub fn seed() -> usize {
    let named = std::env::var("HARMONY_SEED").ok();
    let seed = named.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| {
            usize::try_from(now.as_secs() / 86_400).unwrap_or(0)
        })
    });
    println!("HARMONY_SEED={seed} selects the same again");
    seed
}

/// What precedes the table, the table, and what follows it.
fn parts<'a>(page: &'a str, section: &str) -> anyhow::Result<(&'a str, &'a str, &'a str)> {
    let begin = format!("<!-- {section}: written by `cargo xtask faults` -->\n");
    let at = page
        .find(&begin)
        .with_context(|| format!("{PAGE} has no section `{section}`"))?
        + begin.len();
    let length = page[at..]
        .find("<!-- end -->")
        .with_context(|| format!("the section `{section}` of {PAGE} has no end"))?;
    Ok((&page[..at], &page[at..at + length], &page[at + length..]))
}
