//! The files of a plan as a layer. The same entries give the same bytes.
//!
//! [`harmony_oci::layer`] provides the archive, the compression and the hashes; this module reads the files of the
//! host.

use std::io::{self, Read, Write};
use std::path::Path;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::FileSource;
use harmony_oci::entry::{Entry, Kind, write_end, write_head, write_padding};
use harmony_oci::file::open_regular;
use harmony_oci::{LayerBlob, LayerWriter};
use tokio_util::sync::CancellationToken;

use crate::host_file::{COPY_BUFFER, FileState, check};
use crate::plan::PlannedEntry;

/// Writes the layer of `entries` to `out`, which is at `path`. `states` contains the states of the host files in the
/// order of the entries. A file whose state has changed is an error.
pub(crate) fn write_layer(
    entries: &[PlannedEntry],
    states: &[Option<FileState>],
    mtime: u64,
    out: impl Write,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<LayerBlob, BuildError> {
    compress(out, path, |tar| {
        for (entry, state) in entries.iter().zip(states) {
            write_entry(entry, *state, mtime, tar, path, cancel)?;
        }
        write_end(tar).map_err(unwritable(path))
    })
}

/// Compresses what `write` writes, and hashes it before and after compression.
pub(crate) fn compress(
    out: impl Write,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BuildError>,
) -> Result<LayerBlob, BuildError> {
    let mut layer = LayerWriter::new(out);
    write(&mut layer)?;
    let (_, blob) = layer.finish().map_err(unwritable(path))?;
    Ok(blob)
}

/// Writes an entry, and the content of its host file if it has one. `out` is at `path`.
pub(crate) fn write_entry(
    entry: &PlannedEntry,
    state: Option<FileState>,
    mtime: u64,
    out: &mut dyn Write,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<(), BuildError> {
    check(cancel)?;
    match &entry.source {
        FileSource::Host(host) => {
            let unreadable = |source| BuildError::File {
                path: host.clone(),
                source,
            };
            let file = open_regular(host).map_err(unreadable)?;
            let now = FileState::of(&file).map_err(unreadable)?;
            if state.is_some_and(|state| state != now) {
                return Err(unreadable(changed_meanwhile()));
            }
            write_head(out, &head(entry, now.size, mtime)).map_err(unwritable(path))?;
            let mut left = file.take(now.size);
            let mut buffer = vec![0; COPY_BUFFER];
            loop {
                check(cancel)?;
                match left.read(&mut buffer).map_err(unreadable)? {
                    0 => break,
                    read => out.write_all(&buffer[..read]).map_err(unwritable(path))?,
                }
            }
            if left.limit() != 0 {
                return Err(unreadable(changed_meanwhile()));
            }
            write_padding(out, now.size).map_err(unwritable(path))
        }
        FileSource::Bytes(bytes) => {
            let size = bytes.len() as u64;
            write_head(out, &head(entry, size, mtime))
                .and_then(|()| out.write_all(bytes))
                .and_then(|()| write_padding(out, size))
                .map_err(unwritable(path))
        }
        FileSource::Directory | FileSource::Symlink(_) => {
            write_head(out, &head(entry, 0, mtime)).map_err(unwritable(path))
        }
    }
}

/// The error of a failed write to `path`.
pub(crate) fn unwritable(path: &Path) -> impl Fn(io::Error) -> BuildError {
    move |source| BuildError::Write {
        path: path.to_owned(),
        source,
    }
}

/// From the plan and the time of the image, and nothing of this machine.
fn head(entry: &PlannedEntry, size: u64, mtime: u64) -> Entry<'_> {
    let kind = match &entry.source {
        FileSource::Host(_) | FileSource::Bytes(_) => Kind::File { size },
        FileSource::Directory => Kind::Directory,
        FileSource::Symlink(target) => Kind::Symlink { target },
    };
    Entry {
        path: &entry.path,
        kind,
        mode: entry.mode,
        mtime,
    }
}

fn changed_meanwhile() -> io::Error {
    io::Error::other("it changed while the image was being assembled")
}

#[cfg(test)]
mod tests;
