//! A layer as a compressed tar archive: the same entries give the same bytes, anywhere and at any time.
//!
//! ```text
//! entries --tar--> +--> SHA-256 = diff id
//!                  +--> gzip --> +--> SHA-256 = digest
//!                                +--> out
//! ```
//! Tar, compression and both hashes run in one pass over the content; memory use does not depend on its size.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder, write::GzEncoder};
use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Cancelled;
use harmony_core::image::FileSource;
use harmony_types::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::plan::PlannedEntry;

/// Names everything that decides a layer's bytes beside its content: the form of the archive, and the compressor with
/// its level. It is part of the cache's keys. When the golden digests in the tests of this file change, so must this.
pub(crate) const ENCODER: &str = "ustar+pax 1, zlib-rs 0.6 level 3";

/// See [`ENCODER`]. Higher levels cost more time than the bytes they save are worth on a network of 1 Gb/s.
const COMPRESSION_LEVEL: u32 = 3;

/// The operating system "unknown"; RFC 1952, section 2.3.1.
const GZIP_OS_UNKNOWN: u8 = 255;

const TAR_BLOCK: usize = 512;

/// The longest name the ustar header is given here; longer ones go to a pax record.
const USTAR_NAME: usize = 100;

const COPY_BUFFER: usize = 256 * 1024;

/// What a layer became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerBlob {
    /// The digest of the uncompressed archive.
    pub(crate) diff_id: Digest,
    /// The digest of the compressed archive.
    pub(crate) digest: Digest,
    /// The size of the compressed archive, in bytes.
    pub(crate) size: u64,
}

/// The size and time of a file when it was hashed; other values later mean that it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    size: u64,
    modified: std::time::SystemTime,
}

impl FileState {
    fn of(file: &fs::File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            ));
        }
        Ok(Self {
            size: meta.len(),
            modified: meta.modified()?,
        })
    }
}

/// Hashes a host file in pieces, so that a cancelled run ends soon.
pub(crate) fn hash_file(
    path: &Path,
    cancel: &CancellationToken,
) -> Result<([u8; 32], FileState), BuildError> {
    let unreadable = |source| BuildError::File {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).map_err(unreadable)?;
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

/// Writes the layer of `entries` to `out`, which is at `path`. `states` holds the states of the host files in the
/// order of the entries; a file that is no longer in its state is an error.
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
        end_archive(tar).map_err(unwritable(path))
    })
}

/// Compresses what `write` writes, and hashes both sides.
pub(crate) fn compress(
    out: impl Write,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BuildError>,
) -> Result<LayerBlob, BuildError> {
    let gzip: GzEncoder<_> = GzBuilder::new()
        .mtime(0)
        .operating_system(GZIP_OS_UNKNOWN)
        .write(Hashing::new(out), Compression::new(COMPRESSION_LEVEL));
    let mut tar = Hashing::new(gzip);
    write(&mut tar)?;
    let (gzip, diff_id, _) = tar.finish();
    let (mut out, digest, size) = gzip.finish().map_err(unwritable(path))?.finish();
    out.flush().map_err(unwritable(path))?;
    Ok(LayerBlob {
        diff_id,
        digest,
        size,
    })
}

/// Writes one entry, and the content of its host file if it has one. `out` is at `path`.
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
            let file = fs::File::open(host).map_err(unreadable)?;
            let now = FileState::of(&file).map_err(unreadable)?;
            if state.is_some_and(|state| state != now) {
                return Err(unreadable(changed_meanwhile()));
            }
            write_head(out, entry, now.size, mtime).map_err(unwritable(path))?;
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
            pad(out, now.size).map_err(unwritable(path))
        }
        FileSource::Bytes(bytes) => {
            let size = bytes.len() as u64;
            write_head(out, entry, size, mtime)
                .and_then(|()| out.write_all(bytes))
                .and_then(|()| pad(out, size))
                .map_err(unwritable(path))
        }
        FileSource::Directory | FileSource::Symlink(_) => {
            write_head(out, entry, 0, mtime).map_err(unwritable(path))
        }
    }
}

/// The end of a tar archive: two empty blocks.
pub(crate) fn end_archive(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; 2 * TAR_BLOCK])
}

/// What a failed write to `path` is called.
pub(crate) fn unwritable(path: &Path) -> impl Fn(io::Error) -> BuildError {
    move |source| BuildError::Write {
        path: path.to_owned(),
        source,
    }
}

/// The tar headers of one entry: what the plan says, the time of the image, and nothing of this machine.
fn write_head(out: &mut dyn Write, entry: &PlannedEntry, size: u64, mtime: u64) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(size);
    let mut name = entry.path.clone();
    let mut pax: Vec<(&str, &[u8])> = Vec::new();
    match &entry.source {
        FileSource::Host(_) | FileSource::Bytes(_) => {
            header.set_entry_type(tar::EntryType::Regular);
        }
        FileSource::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            name.push('/');
        }
        FileSource::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            if fits_ustar(target) {
                header.set_link_name_literal(target)?;
            } else {
                pax.push(("linkpath", target.as_bytes()));
            }
        }
    }
    if fits_ustar(&name) {
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    } else {
        pax.push(("path", name.as_bytes()));
    }
    if !pax.is_empty() {
        out.write_all(&pax_header(pax)?)?;
    }
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// Brings the archive to a full block after `size` bytes of content.
fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let over = usize::try_from(size % TAR_BLOCK as u64).map_err(io::Error::other)?;
    if over > 0 {
        out.write_all(&[0; TAR_BLOCK][over..])?;
    }
    Ok(())
}

fn fits_ustar(name: &str) -> bool {
    name.len() <= USTAR_NAME && name.is_ascii()
}

fn pax_header(records: Vec<(&str, &[u8])>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_pax_extensions(records)?;
    Ok(archive.get_ref().clone())
}

fn changed_meanwhile() -> io::Error {
    io::Error::other("it changed while the image was assembled")
}

fn check(cancel: &CancellationToken) -> Result<(), Cancelled> {
    if cancel.is_cancelled() {
        Err(Cancelled)
    } else {
        Ok(())
    }
}

/// Hashes and counts what goes through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    written: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            written: 0,
        }
    }

    fn finish(self) -> (W, Digest, u64) {
        let digest = Digest::sha256_from_bytes(self.hasher.finalize().into());
        (self.inner, digest, self.written)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(content)?;
        self.hasher.update(&content[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A [`LayerBlob`] as the cache keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    diff_id: Digest,
    digest: Digest,
    size: u64,
}

impl From<&LayerBlob> for LayerRecord {
    fn from(blob: &LayerBlob) -> Self {
        Self {
            diff_id: blob.diff_id.clone(),
            digest: blob.digest.clone(),
            size: blob.size,
        }
    }
}

impl From<LayerRecord> for LayerBlob {
    fn from(record: LayerRecord) -> Self {
        Self {
            diff_id: record.diff_id,
            digest: record.digest,
            size: record.size,
        }
    }
}

#[cfg(test)]
mod tests;
