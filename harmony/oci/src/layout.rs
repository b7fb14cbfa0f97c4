//! A layout as a store of blobs: a directory, or an uncompressed tar archive as written by `docker save`.
//!
//! ```text
//! oci-layout            the version of the format
//! index.json            names the images
//! blobs/sha256/<hex>    manifests, configurations, layers
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use harmony_types::Digest;
use oci_spec::image::ImageIndex;

use crate::entry::{Entry, write_end, write_head, write_padding};
use crate::error::LayoutError;
use crate::file::{open_regular, read_at_most};
use crate::hash::{digest_like, digest_of};

/// The maximum size of a manifest, index or configuration, as in registries.
pub const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;

pub(crate) const VERSION_FILE: &str = "oci-layout";
pub(crate) const INDEX_FILE: &str = "index.json";
/// The content of `oci-layout`; see "Image Layout" in the image specification.
pub(crate) const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// `blobs/sha256/<hex>`: the path of a blob in its layout.
pub fn blob_path(digest: &Digest) -> PathBuf {
    ["blobs", digest.algorithm().as_str(), digest.hex()]
        .iter()
        .collect()
}

/// An existing layout. Blobs are looked up when they are needed.
#[derive(Debug, Clone)]
pub struct Layout {
    path: PathBuf,
    files: Files,
}

#[derive(Debug, Clone)]
enum Files {
    Directory,
    /// The start and size of each blob in the archive, by name.
    Archive(BTreeMap<PathBuf, (u64, u64)>),
}

/// Part of a file: the whole file in a directory, or a range of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub path: PathBuf,
    /// The start of the range.
    pub offset: u64,
    /// The length in bytes.
    pub size: u64,
}

impl Stretch {
    /// Opens the range for reading.
    ///
    /// # Errors
    /// The file cannot be opened or is not a regular file.
    pub fn open(&self) -> io::Result<io::Take<File>> {
        let mut file = open_regular(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }
}

impl Layout {
    /// Opens the directory or uncompressed tar archive at `path`.
    ///
    /// # Errors
    /// [`LayoutError::Open`], [`LayoutError::NotALayout`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let path = path.into();
        let failed = |source| LayoutError::Open {
            path: path.clone(),
            source,
        };
        let not_a_layout = |reason| LayoutError::NotALayout {
            path: path.clone(),
            reason,
        };
        if fs::metadata(&path).map_err(failed)?.is_dir() {
            if !path.join(VERSION_FILE).is_file() {
                return Err(not_a_layout("it has no file `oci-layout`"));
            }
            let files = Files::Directory;
            return Ok(Self { path, files });
        }
        let mut archive = tar::Archive::new(open_regular(&path).map_err(failed)?);
        let unreadable = |_| not_a_layout("it is not a plain tar archive");
        let mut files = BTreeMap::new();
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.header().entry_type().is_file() {
                let name = entry.path().map_err(unreadable)?;
                let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
                files.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        if !files.contains_key(Path::new(VERSION_FILE)) {
            return Err(not_a_layout("the archive has no file `oci-layout`"));
        }
        let files = Files::Archive(files);
        Ok(Self { path, files })
    }

    /// The directory or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The index, which lists the images in the layout.
    ///
    /// # Errors
    /// It is missing, too large, or not valid.
    pub fn index(&self) -> Result<ImageIndex, LayoutError> {
        let failed = |source| LayoutError::Open {
            path: self.path.join(INDEX_FILE),
            source,
        };
        let place = self.find(Path::new(INDEX_FILE)).map_err(failed)?;
        let text = place
            .open()
            .and_then(|file| read_at_most(file, DOCUMENT_LIMIT))
            .map_err(failed)?;
        serde_json::from_slice(&text).map_err(|source| LayoutError::Index {
            path: self.path.clone(),
            source,
        })
    }

    /// The location of a blob. Its content is not verified.
    ///
    /// # Errors
    /// [`LayoutError::Missing`], and [`LayoutError::Blob`] if something other than a file has its name.
    pub fn blob(&self, digest: &Digest) -> Result<Stretch, LayoutError> {
        self.find(&blob_path(digest)).map_err(|source| {
            let digest = digest.clone();
            if source.kind() == io::ErrorKind::NotFound {
                LayoutError::Missing { digest }
            } else {
                LayoutError::Blob { digest, source }
            }
        })
    }

    /// Reads a manifest, an index or a configuration, and compares it with its digest.
    ///
    /// # Errors
    /// It is missing, damaged, or larger than [`DOCUMENT_LIMIT`].
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>, LayoutError> {
        let place = self.blob(digest)?;
        if place.size > DOCUMENT_LIMIT {
            return Err(LayoutError::Invalid {
                digest: digest.clone(),
                reason: format!(
                    "it has {} bytes, but the limit is {DOCUMENT_LIMIT}",
                    place.size
                ),
            });
        }
        let bytes = place
            .open()
            .and_then(|file| read_at_most(file, DOCUMENT_LIMIT))
            .map_err(|source| LayoutError::Blob {
                digest: digest.clone(),
                source,
            })?;
        let found = digest_like(digest, &bytes);
        same(digest, found).map(|()| bytes)
    }

    /// Reads a blob and verifies its size and content.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn verify(&self, digest: &Digest, size: u64) -> Result<(), LayoutError> {
        let place = self.sized(digest, size)?;
        let found = place
            .open()
            .and_then(|file| digest_of(file, digest))
            .map_err(|source| LayoutError::Blob {
                digest: digest.clone(),
                source,
            })?;
        same(digest, found)
    }

    /// The location of a blob that must have this size.
    pub(crate) fn sized(&self, digest: &Digest, expected: u64) -> Result<Stretch, LayoutError> {
        let place = self.blob(digest)?;
        if place.size == expected {
            Ok(place)
        } else {
            Err(LayoutError::Size {
                digest: digest.clone(),
                expected,
                found: place.size,
            })
        }
    }

    /// Writes the layout as a tar archive. A directory is packed; an archive is copied.
    ///
    /// # Errors
    /// The layout cannot be read, or writing to `out` fails.
    pub fn write_archive(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Files::Archive(_) = self.files {
            return io::copy(&mut open_regular(&self.path)?, out).map(drop);
        }
        for name in [VERSION_FILE, INDEX_FILE] {
            self.append(name, out)?;
        }
        for algorithm in names_in(&self.path.join("blobs"))? {
            for hex in names_in(&self.path.join("blobs").join(&algorithm))? {
                self.append(&format!("blobs/{algorithm}/{hex}"), out)?;
            }
        }
        write_end(out)
    }

    fn append(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let place = self.find(Path::new(name))?;
        write_head(out, &Entry::file(name, place.size))?;
        if io::copy(&mut place.open()?, out)? != place.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_padding(out, place.size)
    }

    fn find(&self, name: &Path) -> io::Result<Stretch> {
        match &self.files {
            Files::Directory => {
                let path = self.path.join(name);
                let size = open_regular(&path)?.metadata()?.len();
                Ok(Stretch {
                    path,
                    offset: 0,
                    size,
                })
            }
            Files::Archive(files) => {
                let (offset, size) = *files.get(name).ok_or(io::ErrorKind::NotFound)?;
                Ok(Stretch {
                    path: self.path.clone(),
                    offset,
                    size,
                })
            }
        }
    }
}

/// Ignores unfinished files, whose names start with a dot.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn same(expected: &Digest, found: Digest) -> Result<(), LayoutError> {
    if found == *expected {
        return Ok(());
    }
    Err(LayoutError::Changed {
        digest: expected.clone(),
        found,
    })
}
