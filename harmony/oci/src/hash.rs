//! Digests of bytes, files and streams.

use std::io::{self, Read, Write};
use std::path::Path;

use harmony_types::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

use crate::file::open_regular;

const BUFFER: usize = 256 * 1024;

/// A digest that is being computed.
#[derive(Debug, Clone)]
pub enum Hashing {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
}

impl Default for Hashing {
    /// SHA-256.
    fn default() -> Self {
        Self::Sha256(Sha256::new())
    }
}

impl Hashing {
    /// Uses the algorithm of the digest to compare with.
    pub fn like(digest: &Digest) -> Self {
        match digest.algorithm() {
            DigestAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest::sha256_from_bytes(hash.finalize().into()),
            Self::Sha512(hash) => Digest::sha512_from_bytes(hash.finalize().into()),
        }
    }

    /// Adds everything from `reader`.
    fn read(mut self, mut reader: impl Read) -> io::Result<Digest> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(self.finish()),
                Ok(length) => self.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The SHA-256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::sha256_from_bytes(Sha256::digest(bytes).into())
}

/// The digest of `bytes`, with the algorithm of the digest to compare with.
pub fn digest_like(other: &Digest, bytes: &[u8]) -> Digest {
    let mut hashing = Hashing::like(other);
    hashing.update(bytes);
    hashing.finish()
}

/// The digest of everything in `reader`, with the algorithm of the digest to compare with.
///
/// # Errors
/// The errors of the reader.
pub fn digest_of(reader: impl Read, other: &Digest) -> io::Result<Digest> {
    Hashing::like(other).read(reader)
}

/// The SHA-256 digest of a regular file.
///
/// # Errors
/// See [`open_regular`].
pub fn digest_of_file(path: &Path) -> io::Result<Digest> {
    Hashing::default().read(open_regular(path)?)
}

/// Returns true if the file at `path` exists and its content has this digest.
pub fn is_intact(path: &Path, digest: &Digest) -> bool {
    open_regular(path)
        .and_then(|file| digest_of(file, digest))
        .is_ok_and(|found| found == *digest)
}

/// Hashes (SHA-256) and counts the bytes that are written through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hashing: Hashing,
    written: u64,
}

impl<W> HashingWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hashing: Hashing::default(),
            written: 0,
        }
    }

    /// The inner writer, the digest, and the number of bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hashing.finish(), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(content)?;
        self.hashing.update(&content[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
