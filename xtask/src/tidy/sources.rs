//! Rules about files: where Kubernetes structs may appear, that lints are inherited, that the ADR index is complete,
//! and that the code in the README is compiled.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::Metadata;

use super::members;
use crate::command;

/// The directories that may use `k8s_openapi` structs; all other code composes Scores.
const KUBERNETES_STRUCTS: &[&str] = &[
    "harmony/src/scores/",
    "harmony/kubernetes/",
    "harmony/local/",
    "fleet/harmony-fleet-adapters-kube/",
    "-deploy/src/",
    "xtask/src/tidy/",
];

/// Files that may start programs themselves: the module that decides which variables a child gets, the command that
/// replaces itself by another one, and servers for tests.
const STARTS_PROGRAMS: &[&str] = &[
    "harmony/core/src/process.rs",
    "harmony_cli/src/plugins.rs",
    "/testing.rs",
    "/testing/",
    "/tests/",
    "/tests.rs",
    "-e2e/",
    "xtask/",
];

/// Larger files are refused.
const MAX_LINES: usize = 1000;

pub(super) fn check(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for package in members(metadata) {
        let manifest = fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true") {
            complaints.push(format!(
                "{}: add `[lints] workspace = true`",
                package.manifest_path
            ));
        }
        if package
            .description
            .as_deref()
            .is_none_or(|text| text.is_empty() || text == "TODO")
        {
            complaints.push(format!(
                "{}: add a `description` that says what the crate is for",
                package.manifest_path
            ));
        }
    }
    for path in rust_files(&command::root())? {
        let text = fs::read_to_string(&path)?;
        let shown = path.strip_prefix(command::root())?.display().to_string();
        if text.contains("k8s_openapi")
            && !KUBERNETES_STRUCTS
                .iter()
                .any(|folder| shown.contains(folder))
        {
            complaints.push(format!(
                "{shown}: uses k8s_openapi; compose a Score instead"
            ));
        }
        if starts_programs(&text) && !STARTS_PROGRAMS.iter().any(|part| shown.contains(part)) {
            complaints.push(format!(
                "{shown}: starts a program itself; use harmony_core::process, which removes our secrets from its environment"
            ));
        }
        if text.lines().count() > MAX_LINES {
            complaints.push(format!(
                "{shown}: more than {MAX_LINES} lines; split it by its steps"
            ));
        }
    }
    complaints.extend(check_adr_index()?);
    complaints.extend(check_readme_example()?);
    Ok(complaints)
}

/// Whether a file calls the constructor of `Command` of the standard library or tokio, except in tests.
fn starts_programs(text: &str) -> bool {
    // A module of tests is the last thing in a file.
    let code = text
        .split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    code.match_indices("Command::new(").any(|(at, _)| {
        let before = &code[..at];
        !before.ends_with("clap::") && !before.ends_with("Metadata")
    })
}

fn check_adr_index() -> anyhow::Result<Vec<String>> {
    let folder = command::root().join("docs/adr");
    let index = fs::read_to_string(folder.join("README.md"))?;
    let mut complaints = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "README.md" && !index.contains(&format!("({name})")) {
            complaints.push(format!("docs/adr/{name}: not in docs/adr/README.md"));
        }
    }
    Ok(complaints)
}

/// The Rust code block in the README must be part of the example, except for its indentation.
fn check_readme_example() -> anyhow::Result<Vec<String>> {
    const EXAMPLE: &str = "examples/hello-deploy/src/main.rs";
    let readme = fs::read_to_string(command::root().join("README.md"))?;
    let example = unindented(&fs::read_to_string(command::root().join(EXAMPLE))?);
    let shown = readme
        .split_once("```rust\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .map(|(block, _)| unindented(block));
    Ok(match shown {
        Some(block) if example.contains(&block) => Vec::new(),
        _ => vec![format!(
            "README.md: the Rust code block differs from {EXAMPLE}; copy it from there"
        )],
    })
}

fn unindented(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

pub(super) fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::starts_programs;

    #[test]
    fn programs_that_are_started_are_found_but_not_those_of_tests() {
        for (text, starts) in [
            ("let c = Command::new(\"git\");", true),
            ("let c = std::process::Command::new(git);", true),
            ("let c = clap::Command::new(\"git\");", false),
            ("let c = MetadataCommand::new();", false),
            ("let c = process::command(\"git\", &[]);", false),
            (
                "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    Command::new(\"git\")\n}",
                false,
            ),
        ] {
            assert_eq!(starts_programs(text), starts, "{text}");
        }
    }
}
