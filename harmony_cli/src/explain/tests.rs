use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

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
fn pages_are_unique_in_order_and_not_empty() {
    let codes: Vec<&str> = pages().map(|page| page.code).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(codes, sorted);
    for page in pages() {
        assert!(
            page.body.trim().len() > 20 && !page.title.is_empty(),
            "{}",
            page.code
        );
    }
}

#[test]
fn every_code_of_the_workspace_has_a_page_and_one_meaning() {
    let mut places: BTreeMap<u16, BTreeSet<PathBuf>> = BTreeMap::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a readable source");
        let shipped = text.split("#[cfg(test)]").next().unwrap_or(&text);
        for code in codes_in(shipped) {
            places.entry(code).or_default().insert(file.clone());
        }
    }
    assert!(
        places.len() > 50,
        "the scan found only {} codes",
        places.len()
    );
    let without_page: Vec<_> = places
        .iter()
        .filter(|(code, _)| page(&code.to_string()).is_none())
        .collect();
    assert!(
        without_page.is_empty(),
        "write a page in docs/reference/codes.md for {without_page:?}"
    );
    // a chart that cannot be rendered is one case, told by the renderer and by the delivery that asked it
    let shared: Vec<_> = places
        .iter()
        .filter(|(code, files)| files.len() > 1 && **code != 330)
        .collect();
    assert!(
        shared.is_empty(),
        "a code means one thing, give one of these a code of its own: {shared:?}"
    );
}

#[test]
fn the_scan_reads_both_ways_of_writing_a_code() {
    let text = "Code::new(7) x Code::new(match self { A { .. } => 401, B => 402, C(c) => return c.code(), })";
    assert_eq!(codes_in(text), [7, 401, 402]);
}

/// The sources that are shipped: neither tests nor examples, whose codes are made up.
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

/// The numbers in `Code::new(301)` and in `Code::new(match self { .. => 301, .. })`.
fn codes_in(text: &str) -> Vec<u16> {
    let mut codes = Vec::new();
    for (at, call) in text.match_indices("Code::new(") {
        let argument = balanced(&text[at + call.len()..]);
        if let Ok(code) = argument.trim().parse() {
            codes.push(code);
        } else {
            let arms = argument.split("=>").skip(1);
            codes.extend(arms.filter_map(|arm| arm.split(',').next()?.trim().parse::<u16>().ok()));
        }
    }
    codes
}

/// The text up to the bracket that closes the one before it.
fn balanced(text: &str) -> &str {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}
