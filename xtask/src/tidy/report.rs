//! `cargo xtask tidy --report`: the size of each crate, and its circles.

use std::collections::BTreeMap;
use std::fs;

use cargo_metadata::Metadata;

use super::circles::Circle;
use super::{members, sources};

pub(super) fn print(
    metadata: &Metadata,
    circles: &BTreeMap<String, Vec<Circle>>,
) -> anyhow::Result<()> {
    println!(
        "{:<32} {:>6} {:>8} {:>8} {:>8}",
        "crate", "files", "lines", "tests", "circles"
    );
    for package in members(metadata) {
        let folder = package
            .manifest_path
            .parent()
            .unwrap_or(&package.manifest_path);
        let nested: Vec<_> = members(metadata)
            .filter_map(|other| other.manifest_path.parent())
            .filter(|other| *other != folder && other.starts_with(folder))
            .collect();
        let (mut files, mut lines, mut tests) = (0, 0, 0);
        for path in sources::rust_files(folder.as_std_path())? {
            if nested.iter().any(|other| path.starts_with(other)) {
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path)?;
            let all = text.lines().count();
            let is_test = path
                .strip_prefix(folder)?
                .components()
                .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
            let shipped = match text.find("#[cfg(test)]\nmod tests {") {
                _ if is_test => 0,
                Some(at) => text[..at].lines().count(),
                None => all,
            };
            lines += shipped;
            tests += all - shipped;
        }
        let circles = circles.get(package.name.as_str()).map_or(0, Vec::len);
        println!(
            "{:<32} {files:>6} {lines:>8} {tests:>8} {circles:>8}",
            package.name.as_str()
        );
    }
    for (package, found) in circles {
        for circle in found {
            println!("{package}: {circle}");
        }
    }
    Ok(())
}
