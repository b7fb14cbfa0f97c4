//! A lock for one run at a time. It is an advisory lock, so the kernel releases it when its holder exits for any
//! reason.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::Context;

use super::error::LocalNodeError;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock. Waits until another run releases it.
    pub(super) async fn acquire(
        ctx: &Context,
        path: &Path,
        of: &str,
    ) -> Result<Self, LocalNodeError> {
        const EVERY: Duration = Duration::from_millis(100);
        let mut waiting = None;
        loop {
            ctx.check_cancelled()?;
            if let Some(lock) =
                Self::try_acquire(path).map_err(LocalNodeError::file("lock", path))?
            {
                if let Some(step) = waiting {
                    harmony_core::event::Step::done(step, "");
                }
                return Ok(lock);
            }
            waiting.get_or_insert_with(|| {
                ctx.step(format!("wait for another run to finish with {of}"))
            });
            ctx.unless_cancelled(tokio::time::sleep(EVERY)).await?;
        }
    }

    fn try_acquire(path: &Path) -> std::io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The previous holder may have deleted the file, and then this lock has no effect.
        let same = fs::metadata(path)
            .is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
        Ok(same.then(|| Self {
            file,
            path: path.to_owned(),
        }))
    }

    /// Releases the lock and deletes its file.
    pub(super) fn release_and_remove(self) -> Result<(), LocalNodeError> {
        let removed = super::files::remove(&self.path);
        drop(self.file);
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_survives_its_removal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/lock");
        let ctx = Context::new();
        let first = Lock::acquire(&ctx, &path, "x").await.unwrap();
        let second = {
            let (ctx, path) = (ctx.clone(), path.clone());
            tokio::spawn(async move { Lock::acquire(&ctx, &path, "x").await })
        };
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(!second.is_finished());
        first.release_and_remove().unwrap();
        let second = second.await.unwrap().unwrap();
        assert!(path.exists(), "the second holds a file that is there");
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        drop(second);
    }

    #[tokio::test]
    async fn waiting_ends_when_the_run_is_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let ctx = Context::new();
        let _held = Lock::acquire(&ctx, &path, "x").await.unwrap();
        ctx.cancellation().cancel();
        assert!(matches!(
            Lock::acquire(&ctx, &path, "x").await,
            Err(LocalNodeError::Cancelled(_))
        ));
    }
}
