//! The commit that is released, and whether the work tree is that commit.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::{codes, process};
use serde::{Deserialize, Serialize};

/// What git says about a project's work tree. Reading it changes nothing, not even git's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The commit that is checked out.
    pub commit: Commit,
    /// The commit's time, in seconds since 1970: what every artefact of the release is dated by.
    pub created: i64,
    /// What differs from the commit, untracked files included, as `git status --short` writes it; empty when clean.
    pub dirty: Vec<String>,
}

/// The full name of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commit(String);

impl Commit {
    /// How many digits [`Commit::short`] shows.
    pub const SHORT_LENGTH: usize = 12;

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for people to read.
    pub fn short(&self) -> &str {
        self.0.get(..Self::SHORT_LENGTH).unwrap_or(&self.0)
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the work tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no git.
    #[error("the program `git` is not on PATH")]
    NoGit,
    /// The project is not under version control.
    #[error("`{}` is not in a git repository", root.display())]
    NotARepository {
        /// The project's root.
        root: PathBuf,
    },
    /// Nothing was committed yet.
    #[error("the git repository of `{}` has no commit", root.display())]
    NoCommit {
        /// The project's root.
        root: PathBuf,
    },
    /// git could not be started.
    #[error("`git {arguments}` could not be started in `{}`", root.display())]
    Start {
        /// What git was asked.
        arguments: String,
        /// The project's root.
        root: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// git refused.
    #[error("`git {arguments}` failed in `{}`", root.display())]
    Git {
        /// What git was asked.
        arguments: String,
        /// The project's root.
        root: PathBuf,
        /// What it printed.
        output: Vec<String>,
    },
}

impl Diagnostic for SourceError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::NotARepository { .. } => Origin::Own(codes::NO_GIT_REPOSITORY),
            Self::NoCommit { .. } => Origin::Own(codes::NO_COMMIT),
            Self::NoGit | Self::Start { .. } | Self::Git { .. } => Origin::Own(codes::GIT_FAILED),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Git { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoGit => {
                vec!["install git: a release is a commit, which git names and dates".into()]
            }
            Self::NotARepository { .. } => vec![
                "a release is a commit: run `git init`, commit the project, then release again"
                    .into(),
                "to run it on this machine without a release, deploy it: that needs no git".into(),
            ],
            Self::NoCommit { .. } => {
                vec!["commit the project with `git commit`, then release again".into()]
            }
            Self::Start { .. } => vec!["check that the directory exists and may be entered".into()],
            Self::Git { output, .. }
                if output.iter().any(|line| line.contains("dubious ownership")) =>
            {
                vec!["the checkout belongs to another user: run `git config --global --add safe.directory DIRECTORY` with the directory that git names".into()]
            }
            Self::Git { .. } => vec!["mend what git reports above, then release again".into()],
        }
    }
}

impl Source {
    /// Reads the repository that holds `root`.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn read(root: &Path) -> Result<Self, SourceError> {
        let output = git(
            root,
            &[
                "log",
                "-1",
                "--no-show-signature",
                "--format=%H %ct",
                "HEAD",
            ],
        )
        .await?;
        if !output.status.success() {
            return Err(no_head(root, &output).await);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let parsed = text
            .trim()
            .split_once(' ')
            .and_then(|(commit, created)| Some((commit.to_owned(), created.parse().ok()?)));
        let Some((commit, created)) = parsed else {
            return Err(failed(root, "log -1 HEAD", &output));
        };
        let status = git(
            root,
            &["status", "--porcelain=v1", "--untracked-files=normal"],
        )
        .await?;
        if !status.status.success() {
            return Err(failed(root, "status", &status));
        }
        Ok(Self {
            commit: Commit(commit),
            created,
            dirty: lines(&status.stdout),
        })
    }

    /// The commit that a tag of the repository stands for; `None` when it has no such tag.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn tagged(root: &Path, tag: &str) -> Result<Option<Commit>, SourceError> {
        let name = format!("refs/tags/{tag}^{{commit}}");
        let output = git(root, &["rev-parse", "--quiet", "--verify", &name]).await?;
        if !output.status.success() {
            return Ok(None);
        }
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(Commit(commit)))
    }
}

/// Tells a directory without a repository from a repository without a commit.
async fn no_head(root: &Path, output: &Output) -> SourceError {
    let root_path = root.to_owned();
    if String::from_utf8_lossy(&output.stderr).contains("not a git repository") {
        return SourceError::NotARepository { root: root_path };
    }
    match git(root, &["rev-parse", "--quiet", "--verify", "HEAD"]).await {
        // quiet: a repository without a commit fails in silence, any other trouble has words
        Ok(verify) if !verify.status.success() && verify.stderr.is_empty() => {
            SourceError::NoCommit { root: root_path }
        }
        Ok(_) => failed(root, "log -1 HEAD", output),
        Err(error) => error,
    }
}

async fn git(root: &Path, arguments: &[&str]) -> Result<Output, SourceError> {
    process::async_command("git", &[])
        .arg("-C")
        .arg(root)
        .args(arguments)
        // the messages are read above, and `status` must not refresh the index of a tree that others may be using
        .envs([("LC_ALL", "C"), ("GIT_OPTIONAL_LOCKS", "0")])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if process::find("git").is_none() => SourceError::NoGit,
            _ => SourceError::Start {
                arguments: arguments.join(" "),
                root: root.to_owned(),
                source,
            },
        })
}

fn failed(root: &Path, arguments: &str, output: &Output) -> SourceError {
    SourceError::Git {
        arguments: arguments.to_owned(),
        root: root.to_owned(),
        output: lines(&output.stderr),
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
