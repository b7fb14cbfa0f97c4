//! The checkout that all images of the tests are built from.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use harmony_fleet_deploy::apps;
use tempfile::TempDir;

/// A clone of this repository whose commit contains the files of the work tree.
///
/// Tests release from it and change it, which they must not do with the work tree itself. It keeps its `target`, so that
/// cargo compiles dependencies only once. A lock allows one test at a time to use it.
#[derive(Debug)]
pub struct Checkout {
    root: PathBuf,
    _lock: File,
}

/// How many tests of examples can have a checkout at the same time.
const FOR_EXAMPLES: usize = 3;

impl Checkout {
    /// Waits for the checkout for the fleet, and updates it to the work tree. The fleet takes minutes to compile, so this
    /// is always the same directory.
    ///
    /// # Errors
    /// git is not installed, or failed.
    pub async fn take() -> anyhow::Result<Self> {
        let root = folder()?.join("e2e-checkout");
        let lock = File::create(root.with_extension("lock"))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        Self::updated(root, lock)
    }

    /// Waits for one of the checkouts for the examples, and updates it to the work tree. An example compiles in
    /// seconds.
    ///
    /// # Errors
    /// git is not installed, or failed.
    pub async fn take_for_examples() -> anyhow::Result<Self> {
        loop {
            for number in 0..FOR_EXAMPLES {
                let root = folder()?.join(format!("e2e-examples-{number}"));
                let lock = File::create(root.with_extension("lock"))?;
                match lock.try_lock() {
                    Ok(()) => return Self::updated(root, lock),
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(error.into()),
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn updated(root: PathBuf, lock: File) -> anyhow::Result<Self> {
        let checkout = Self { root, _lock: lock };
        checkout.update(&apps::workspace())?;
        Ok(checkout)
    }

    /// The directory of the clone.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its commit in another directory.
    ///
    /// # Errors
    /// git failed.
    pub fn cloned(&self) -> anyhow::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet"]);
        output(clone.arg(&self.root).arg(folder.path()))?;
        Ok(folder)
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

/// Where the clones are.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = apps::workspace().join("target");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
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
