//! Reading files of the host: their content, and whether they have changed since.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Cancelled;
use harmony_oci::file::open_regular;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

pub(crate) const COPY_BUFFER: usize = 256 * 1024;

/// The size and modification time of a file when it was hashed. If they differ later, the file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) size: u64,
    modified: std::time::SystemTime,
}

impl FileState {
    pub(crate) fn of(file: &fs::File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            size: meta.len(),
            modified: meta.modified()?,
        })
    }
}

/// Hashes a file in chunks, so that a cancelled run stops quickly.
pub(crate) fn hash_file(
    path: &Path,
    cancel: &CancellationToken,
) -> Result<([u8; 32], FileState), BuildError> {
    let unreadable = |source| BuildError::File {
        path: path.to_owned(),
        source,
    };
    let mut file = open_regular(path).map_err(unreadable)?;
    let state = FileState::of(&file).map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        check(cancel)?;
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => return Ok((hasher.finalize().into(), state)),
            read => hasher.update(&buffer[..read]),
        }
    }
}

pub(crate) fn check(cancel: &CancellationToken) -> Result<(), Cancelled> {
    if cancel.is_cancelled() {
        Err(Cancelled)
    } else {
        Ok(())
    }
}
