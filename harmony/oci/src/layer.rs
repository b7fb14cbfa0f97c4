//! A layer as a compressed tar archive.
//!
//! ```text
//! tar --> +--> SHA-256 = diff id
//!         +--> gzip --> +--> SHA-256 = digest
//!                       +--> out
//! ```
//! Compression and both hashes are computed in one pass. The memory use does not depend on the size of the content.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use harmony_types::Digest;
use serde::{Deserialize, Serialize};

use crate::hash::HashingWriter;

/// Identifies everything that determines the bytes of a layer in addition to its content: the archive format, and the
/// compressor with its level. Include it in cache keys, and change it whenever a golden digest of a layer changes.
pub const ENCODER: &str = "ustar+pax 1, zlib-rs 0.6 level 3";

/// See [`ENCODER`]. With higher levels, compression takes longer than the saved bytes would take on a 1 Gb/s network.
const COMPRESSION_LEVEL: u32 = 3;

/// The operating system "unknown"; RFC 1952, section 2.3.1.
const GZIP_OS_UNKNOWN: u8 = 255;

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerBlob {
    /// The digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The digest of the compressed archive.
    pub digest: Digest,
    /// The size of the compressed archive, in bytes.
    pub size: u64,
}

/// Compresses an archive while it is written, and hashes it before and after compression. The same input gives the same
/// bytes.
pub struct LayerWriter<W: Write> {
    tar: HashingWriter<GzEncoder<HashingWriter<W>>>,
}

impl<W: Write> std::fmt::Debug for LayerWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerWriter").finish_non_exhaustive()
    }
}

impl<W: Write> LayerWriter<W> {
    /// Writes the compressed archive to `out`.
    pub fn new(out: W) -> Self {
        let gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(GZIP_OS_UNKNOWN)
            .write(HashingWriter::new(out), Compression::new(COMPRESSION_LEVEL));
        Self {
            tar: HashingWriter::new(gzip),
        }
    }

    /// Writes the rest, and returns `out` and the layer.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn finish(self) -> io::Result<(W, LayerBlob)> {
        let (gzip, diff_id, _) = self.tar.finish();
        let (mut out, digest, size) = gzip.finish()?.finish();
        out.flush()?;
        Ok((
            out,
            LayerBlob {
                diff_id,
                digest,
                size,
            },
        ))
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.tar.write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}
