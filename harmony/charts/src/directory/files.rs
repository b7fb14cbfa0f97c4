//! The published files of a chart directory: those that git tracks and `.helmignore` does not exclude.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use harmony_core::process;

use super::ignore::{self, Ignored};
use crate::error::ChartError;

/// The published files by their path below `root`, with `/`. Outside of a git repository, all files count as tracked.
pub(super) fn read(root: &Path) -> Result<BTreeMap<String, Vec<u8>>, ChartError> {
    check_directory(root)?;
    walk(root, tracked(root)?)
}

/// All files that `.helmignore` does not exclude, as helm reads a directory.
pub(super) fn read_all(root: &Path) -> Result<BTreeMap<String, Vec<u8>>, ChartError> {
    check_directory(root)?;
    walk(root, None)
}

fn check_directory(root: &Path) -> Result<(), ChartError> {
    let metadata = std::fs::metadata(root).map_err(|source| unreadable(root, source))?;
    if !metadata.is_dir() {
        return Err(refuse(
            root,
            "is not a directory",
            "use the directory of the chart, which contains its `Chart.yaml`",
        ));
    }
    Ok(())
}

fn walk(
    root: &Path,
    tracked: Option<BTreeSet<String>>,
) -> Result<BTreeMap<String, Vec<u8>>, ChartError> {
    let mut walk = Walk {
        tracked,
        ignored: ignored(root)?,
        files: BTreeMap::new(),
    };
    walk.enter(root, "")?;
    Ok(walk.files)
}

struct Walk {
    tracked: Option<BTreeSet<String>>,
    ignored: Ignored,
    files: BTreeMap<String, Vec<u8>>,
}

impl Walk {
    fn enter(&mut self, directory: &Path, prefix: &str) -> Result<(), ChartError> {
        let entries =
            std::fs::read_dir(directory).map_err(|source| unreadable(directory, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| unreadable(directory, source))?;
            let path = entry.path();
            let kind = entry
                .file_type()
                .map_err(|source| unreadable(&path, source))?;
            let Ok(name) = entry.file_name().into_string() else {
                if self.tracked.is_none() {
                    return Err(refuse(&path, "has a name that is not UTF-8", "rename it"));
                }
                continue;
            };
            let name = format!("{prefix}{name}");
            if name == ignore::FILE || self.ignored.is_ignored(&name, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                self.enter(&path, &format!("{name}/"))?;
                continue;
            }
            if self
                .tracked
                .as_ref()
                .is_some_and(|tracked| !tracked.contains(&name))
            {
                continue;
            }
            if !kind.is_file() {
                return Err(refuse(
                    &path,
                    "is neither a file nor a directory",
                    "replace it by a copy of the file; links are not packaged",
                ));
            }
            let content = std::fs::read(&path).map_err(|source| unreadable(&path, source))?;
            self.files.insert(name, content);
        }
        Ok(())
    }
}

fn ignored(root: &Path) -> Result<Ignored, ChartError> {
    let path = root.join(ignore::FILE);
    // A pipe of that name would be waited for.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(refuse(&path, "is not a file", "remove it"));
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(unreadable(&path, source)),
    };
    Ignored::parse(&text).map_err(|problem| {
        refuse(
            &path,
            &format!("cannot be used: {problem}"),
            "fix this line; helm has the same rules",
        )
    })
}

/// The files that git tracks below `root`; `None` outside of a repository.
fn tracked(root: &Path) -> Result<Option<BTreeSet<String>>, ChartError> {
    let full = root
        .canonicalize()
        .map_err(|source| unreadable(root, source))?;
    if !full.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(None);
    }
    let help = "run `git ls-files` there: only tracked files are published, so git must be able to list them";
    let output = process::command("git", &[])
        .arg("-C")
        .arg(&full)
        .args(["ls-files", "--cached", "-z", "--", "."])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ChartError::File {
            path: root.to_owned(),
            problem: "is in a git repository whose files cannot be listed".to_owned(),
            help: help.to_owned(),
            source: Some(source),
        })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let problem = format!(
            "is in a git repository whose files cannot be listed: {}",
            message.trim()
        );
        return Err(refuse(root, &problem, help));
    }
    let names = output.stdout.split(|byte| *byte == 0);
    let tracked: BTreeSet<String> = names
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .filter(|name| !name.is_empty())
        .collect();
    if tracked.is_empty() {
        return Err(refuse(
            root,
            "contains no files tracked by git",
            "run `git add` for the chart's files: only tracked files are published",
        ));
    }
    Ok(Some(tracked))
}

fn refuse(path: &Path, problem: &str, help: &str) -> ChartError {
    ChartError::File {
        path: PathBuf::from(path),
        problem: problem.to_owned(),
        help: help.to_owned(),
        source: None,
    }
}

fn unreadable(path: &Path, source: io::Error) -> ChartError {
    ChartError::File {
        path: path.to_owned(),
        problem: "cannot be read".to_owned(),
        help: "check the path of the chart; in an AppSpec it is relative to the project root"
            .to_owned(),
        source: Some(source),
    }
}
