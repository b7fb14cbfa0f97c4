use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use harmony_core::codes;

use super::*;

#[test]
fn a_page_is_found_however_its_code_is_written() {
    let found = page("H0301").expect("its page");
    assert_eq!(found.title, "the image does not exist");
    for asked in ["h0301", "301", "0301", " H301 "] {
        assert_eq!(page(asked), Some(found), "{asked}");
    }
    for asked in ["", "H", "H9999", "E0301", "99999", "-1"] {
        assert_eq!(page(asked), None, "{asked}");
    }
}

#[test]
fn a_page_ends_where_the_next_area_begins() {
    let last_of_the_run = page("H0007").expect("its page").text();
    assert!(!last_of_the_run.contains('#'), "{last_of_the_run}");
}

#[test]
fn the_pages_are_those_of_the_table_of_codes() {
    let table: Vec<_> = codes::ALL
        .iter()
        .map(|(code, title)| format!("{code}: {title}"))
        .collect();
    let documented: Vec<_> = pages()
        .map(|page| format!("{}: {}", page.code, page.title))
        .collect();
    let missing: Vec<_> = table
        .iter()
        .filter(|code| !documented.contains(code))
        .collect();
    let unknown: Vec<_> = documented
        .iter()
        .filter(|page| !table.contains(page))
        .collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "docs/reference/codes.md and harmony/core/src/codes.rs differ\n without a page: {missing:#?}\n not in the table: {unknown:#?}"
    );
    assert_eq!(
        documented, table,
        "the pages are not in the order of the table"
    );
    for page in pages() {
        assert!(page.body.trim().len() > 20, "{}: an empty page", page.code);
    }
}

#[test]
fn every_code_is_given_by_one_error() {
    let mut places: BTreeMap<String, BTreeSet<PathBuf>> = names()
        .into_iter()
        .map(|name| (name, BTreeSet::new()))
        .collect();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a readable source");
        let shipped = text.split("#[cfg(test)]").next().unwrap_or(&text);
        for (at, prefix) in shipped.match_indices("codes::") {
            let name: String = shipped[at + prefix.len()..]
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_')
                .collect();
            if let Some(files) = places.get_mut(&name) {
                files.insert(file.clone());
            }
        }
    }
    assert!(places.len() > 50, "only {} codes were found", places.len());
    // every operation that can be cancelled may use this code
    places.remove("CANCELLED");
    let unused: Vec<_> = places
        .iter()
        .filter(|(_, files)| files.is_empty())
        .collect();
    assert!(unused.is_empty(), "no error has these codes: {unused:#?}");
    let shared: Vec<_> = places.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(
        shared.is_empty(),
        "a code means one thing, give one of these a code of its own: {shared:#?}"
    );
}

/// The names in the table of codes.
fn names() -> Vec<String> {
    include_str!("../../../harmony/core/src/codes.rs")
        .lines()
        .filter_map(|line| {
            let (name, _) = line.strip_prefix("    ")?.split_once(" = ")?;
            name.chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                .then(|| name.to_owned())
        })
        .collect()
}

/// The source files except for tests and examples, which use made-up codes.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in directory
            .read_dir()
            .expect("a readable directory")
            .flatten()
        {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", "tests", "examples"].contains(&name.as_str())
                    || name.starts_with('.');
                if !skipped {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && name != "tests.rs"
            {
                found.push(path);
            }
        }
    }
    found
}
