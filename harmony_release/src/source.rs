//! The commit to release, and whether the work tree has changed since.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::{codes, process};
use serde::{Deserialize, Serialize};

/// The state of a project's work tree in git. Reading it changes nothing, not even git's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub commit: Commit,
    /// The time of the commit, in seconds since 1970. It is the date of all artifacts of the release.
    pub created: i64,
    /// The changes since the commit, including untracked files, in the format of `git status --short`; empty if there
    /// are none.
    pub dirty: Vec<String>,
    /// The root of the work tree.
    pub repository: PathBuf,
}

/// The full hash of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commit(String);

impl Commit {
    /// The number of digits that [`Commit::short`] returns.
    pub const SHORT_LENGTH: usize = 12;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for display.
    pub fn short(&self) -> &str {
        self.0.get(..Self::SHORT_LENGTH).unwrap_or(&self.0)
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reason why the work tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the program `git` is not on PATH")]
    NoGit,
    #[error("`{}` is not in a git repository", root.display())]
    NotARepository { root: PathBuf },
    #[error("the git repository of `{}` has no commits", root.display())]
    NoCommit { root: PathBuf },
    #[error("`git {arguments}` could not be started in `{}`", root.display())]
    Start {
        arguments: String,
        root: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`git {arguments}` failed in `{}`", root.display())]
    Git {
        arguments: String,
        root: PathBuf,
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
                vec!["install git: a release is built from a commit".into()]
            }
            Self::NotARepository { .. } => vec![
                "a release is built from a commit: run `git init`, commit the project, then release again"
                    .into(),
                "to run it on this machine without a release, deploy it; this does not need git".into(),
            ],
            Self::NoCommit { .. } => {
                vec!["commit the project with `git commit`, then release again".into()]
            }
            Self::Start { .. } => vec!["check that the directory exists and that you can access it".into()],
            Self::Git { output, .. }
                if output.iter().any(|line| line.contains("dubious ownership")) =>
            {
                vec!["the checkout belongs to another user: run `git config --global --add safe.directory DIRECTORY` with the directory that git names".into()]
            }
            Self::Git { .. } => vec!["fix what git reports above, then release again".into()],
        }
    }
}

impl Source {
    /// Reads the repository that contains `root`.
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
        let top = git(root, &["rev-parse", "--show-toplevel"]).await?;
        if !top.status.success() {
            return Err(failed(root, "rev-parse --show-toplevel", &top));
        }
        let repository = OsStr::from_bytes(top.stdout.trim_ascii_end());
        Ok(Self {
            commit: Commit(commit),
            created,
            dirty: lines(&status.stdout),
            repository: repository.into(),
        })
    }

    /// The commit of a tag; `None` if the repository does not have this tag.
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

/// Distinguishes a directory without a repository from a repository without a commit.
async fn no_head(root: &Path, output: &Output) -> SourceError {
    let root_path = root.to_owned();
    if String::from_utf8_lossy(&output.stderr).contains("not a git repository") {
        return SourceError::NotARepository { root: root_path };
    }
    match git(root, &["rev-parse", "--quiet", "--verify", "HEAD"]).await {
        // with --quiet, a repository without a commit fails silently, and all other errors print a message
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
        // the messages are parsed above, and `status` must not refresh the index of a work tree that others may be
        // using
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
