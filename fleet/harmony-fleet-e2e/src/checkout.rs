//! The checkout that all images of the tests are built from.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use harmony_fleet_deploy::apps;

/// A clone of this repository whose commit contains the files of the work tree.
///
/// Tests release from it and change it, which they must not do with the work tree itself. It is always in the same
/// directory and keeps its `target`, so that cargo compiles dependencies only once for stacks and releases. A lock allows
/// one test at a time to use it.
#[derive(Debug)]
pub struct Checkout {
    root: PathBuf,
    _lock: File,
}

impl Checkout {
    /// Waits for the lock, and updates the clone to the work tree.
    ///
    /// # Errors
    /// git is not installed, or failed.
    pub async fn take() -> anyhow::Result<Self> {
        let workspace = apps::workspace();
        let root = workspace.join("target/e2e-checkout");
        std::fs::create_dir_all(workspace.join("target"))?;
        let lock = File::create(root.with_extension("lock"))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        let checkout = Self { root, _lock: lock };
        checkout.update(&workspace)?;
        Ok(checkout)
    }

    /// The directory of the clone.
    pub fn root(&self) -> &Path {
        &self.root
    }

    ///
    /// # Errors
    /// git failed.
    pub fn commit(&self, subject: &str) -> anyhow::Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", subject])?;
        Ok(())
    }

    fn update(&self, workspace: &Path) -> anyhow::Result<()> {
        if !self.root.join(".git").exists() {
            let mut clone = Command::new("git");
            clone.args(["clone", "--quiet", "--no-checkout", "--no-hardlinks"]);
            output(clone.arg(workspace).arg(&self.root))?;
        }
        self.git(&["fetch", "--quiet", &workspace.display().to_string(), "HEAD"])?;
        let commit = self.snapshot(workspace)?;
        self.git(&["checkout", "--quiet", "--force", "--detach", &commit])?;
        self.git(&["clean", "-d", "--force", "--quiet"])?;
        Ok(())
    }

    /// A commit of the current work tree: its HEAD, or a commit of the changes on top of it.
    ///
    /// The same content gives the same commit, because the date is that of HEAD. Nothing is written to the repository of
    /// the work tree: new objects and the index belong to the clone.
    fn snapshot(&self, workspace: &Path) -> anyhow::Result<String> {
        let own = self.root.join(".git");
        let git = |args: &[&str]| {
            let mut command = git_in(workspace, args);
            command
                .env("GIT_INDEX_FILE", own.join("snapshot.index"))
                .env("GIT_OBJECT_DIRECTORY", own.join("objects"));
            output(&mut command)
        };
        let head = self.git(&["rev-parse", "FETCH_HEAD"])?;
        git(&["read-tree", &head])?;
        git(&["add", "--all"])?;
        let tree = git(&["write-tree"])?;
        if tree == self.git(&["rev-parse", "FETCH_HEAD^{tree}"])? {
            return Ok(head);
        }
        let date = self.git(&["show", "--no-patch", "--format=%ct +0000", &head])?;
        let args = [
            "commit-tree",
            &tree,
            "-p",
            &head,
            "-m",
            "Take the work tree",
        ];
        let mut command = git_in(&self.root, &args);
        command
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date);
        output(&mut command)
    }

    fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        output(&mut git_in(&self.root, args))
    }
}

/// git in a folder, with an author of its own.
fn git_in(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(args);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "test")
            .env(format!("GIT_{who}_EMAIL"), "test@example.com");
    }
    command
}

/// The output of a command.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
