//! Writes files so that a kill or power failure leaves either the old or the new content, and never a part of it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::LocalNodeError;

/// Who can read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Only root: keys, and configurations that contain keys.
    Secret,
    /// Everyone who can access the directory.
    Public,
}

/// Writes `content` unless the file already contains it. Returns true if it was written.
pub(super) fn write_if_changed(
    path: &Path,
    content: &[u8],
    access: Access,
) -> Result<bool, LocalNodeError> {
    let mode = match access {
        Access::Secret => 0o600,
        Access::Public => 0o644,
    };
    if fs::read(path).is_ok_and(|present| present == content)
        && fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o777 == mode)
    {
        return Ok(false);
    }
    replace(path, content, mode).map_err(LocalNodeError::file("write", path))?;
    Ok(true)
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// Creates a directory and its parents, accessible only by root.
pub(super) fn create_private_dir(path: &Path) -> Result<(), LocalNodeError> {
    let create = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            }
            other => other,
        }
    };
    create().map_err(LocalNodeError::file("create", path))
}

/// Creates a directory and its parents.
pub(super) fn create_dir(path: &Path) -> Result<(), LocalNodeError> {
    fs::create_dir_all(path).map_err(LocalNodeError::file("create", path))
}

/// Deletes a file or directory. Succeeds if it does not exist.
pub(super) fn remove(path: &Path) -> Result<(), LocalNodeError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LocalNodeError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The last lines of a text file from this offset on, oldest first; empty if it cannot be read.
pub(super) fn tail(path: &Path, from: u64, lines: usize) -> Vec<String> {
    const WINDOW: u64 = 64 * 1024;
    let read = || -> io::Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW).max(from)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read()
        .map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), lines))
        .unwrap_or_default()
}

/// The last lines that are not empty.
pub(super) fn last_lines(text: &str, lines: usize) -> Vec<String> {
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    all.iter()
        .skip(all.len().saturating_sub(lines))
        .map(|line| (*line).to_owned())
        .collect()
}

/// SHA-256 of several parts, each preceded by its length so that different lists cannot collide; lower-case hex.
pub(super) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// SHA-256 of a file, in lower-case hex.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut file = fs::File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        assert!(write_if_changed(&path, b"a", Access::Secret).unwrap());
        assert!(!write_if_changed(&path, b"a", Access::Secret).unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(write_if_changed(&path, b"b", Access::Secret).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            write_if_changed(&path, b"b", Access::Secret).unwrap(),
            "a loosened mode is put right"
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn fingerprints_keep_parts_apart() {
        assert_ne!(
            fingerprint([b"ab".as_slice(), b"c"]),
            fingerprint([b"a".as_slice(), b"bc"])
        );
    }

    #[test]
    fn the_tail_is_in_order() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), ["b", "c"]);
        assert!(tail(Path::new("/nowhere"), 0, 3).is_empty());
    }
}
