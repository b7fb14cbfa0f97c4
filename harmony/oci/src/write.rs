//! New layouts. A layout is complete when it has an `index.json`, which is always written last.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use harmony_types::Digest;
use oci_spec::image::{Descriptor, MediaType};
use tempfile::TempPath;

use crate::archive::index;
use crate::documents::{Documents, spec_digest};
use crate::error::LayoutError;
use crate::hash::{is_intact, sha256};
use crate::image::Image;
use crate::layout::{INDEX_FILE, VERSION, VERSION_FILE, blob_path};

/// An image whose parts already exist, to be written at once.
#[derive(Debug, Clone)]
pub struct NewImage<'a> {
    pub documents: &'a Documents,
    /// The content of the layers: digest and path. They are linked and not copied if the file system allows it.
    pub layers: Vec<(Digest, PathBuf)>,
}

impl NewImage<'_> {
    /// Writes the layout to `target`, by way of a directory in `staging` on the same file system.
    ///
    /// An intact existing layout is kept; a damaged one is replaced.
    ///
    /// # Errors
    /// [`LayoutError::Write`]; other errors if the result is not a valid image.
    pub fn write(&self, target: &Path, staging: &Path) -> Result<Image, LayoutError> {
        if let Ok(image) = Image::open(target)
            && image.digest() == &self.documents.digest
            && image.verify().is_ok()
        {
            return Ok(image);
        }
        self.assemble(target, staging)
            .map_err(|source| LayoutError::Write {
                path: target.to_owned(),
                source,
            })?;
        Image::open(target)
    }

    fn assemble(&self, target: &Path, staging: &Path) -> io::Result<()> {
        let staged = tempfile::Builder::new()
            .prefix("image-")
            .tempdir_in(staging)?;
        fs::create_dir_all(staged.path().join("blobs/sha256"))?;
        for content in [&self.documents.config, &self.documents.manifest] {
            write_synced(&staged.path().join(blob_path(&sha256(content))), content)?;
        }
        for (digest, path) in &self.layers {
            link_or_copy(path, &staged.path().join(blob_path(digest)))?;
        }
        let index = index(vec![self.documents.descriptor.clone()])?;
        write_synced(&staged.path().join(VERSION_FILE), VERSION)?;
        write_synced(&staged.path().join(INDEX_FILE), &index)?;
        if target.exists() {
            // It is damaged, otherwise `write` would have returned. It is deleted with the staging directory.
            let damaged = tempfile::Builder::new()
                .prefix("damaged-")
                .tempdir_in(staging)?;
            fs::rename(target, damaged.path().join("image"))?;
        }
        let complete = staged.keep();
        match fs::rename(&complete, target) {
            // Another process was faster. What it wrote has the same name and therefore the same content.
            Err(_) if target.join(INDEX_FILE).exists() => fs::remove_dir_all(&complete),
            moved => moved,
        }
    }
}

/// A layout that receives an image blob by blob, for example from a registry. It can be continued after an
/// interruption.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    directory: &'a Path,
}

impl<'a> Incoming<'a> {
    /// Writes to this directory, which does not have to exist.
    pub fn new(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// The future path of the blob.
    pub fn path(self, digest: &Digest) -> PathBuf {
        self.directory.join(blob_path(digest))
    }

    /// Returns true if the blob exists and is intact.
    pub fn has(self, digest: &Digest) -> bool {
        is_intact(&self.path(digest), digest)
    }

    /// Completes the layout with its manifest and the index.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn finish(
        self,
        digest: &Digest,
        media_type: &str,
        manifest: &[u8],
    ) -> Result<(), LayoutError> {
        let descriptor = spec_digest(digest)
            .map(|digest| {
                Descriptor::new(MediaType::from(media_type), manifest.len() as u64, digest)
            })
            .and_then(|descriptor| index(vec![descriptor]));
        let unwritable = |path: &Path, source| LayoutError::Write {
            path: path.to_owned(),
            source,
        };
        let index = descriptor.map_err(|source| unwritable(self.directory, source))?;
        for (path, content) in [
            (self.path(digest), manifest),
            (self.directory.join(VERSION_FILE), VERSION),
            (self.directory.join(INDEX_FILE), &index),
        ] {
            replace(&path, content).map_err(|source| unwritable(&path, source))?;
        }
        Ok(())
    }
}

/// A temporary file that gets its final name when it is complete, and is deleted otherwise. Creates the directory.
///
/// # Errors
/// The directory cannot be written.
pub fn beside(path: &Path) -> io::Result<(File, TempPath)> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    Ok(tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempfile_in(folder)?
        .into_parts())
}

/// Writes a file atomically: readers see the old or the new content, even after a crash.
///
/// # Errors
/// The directory cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (mut file, unfinished) = beside(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    unfinished.persist(path).map_err(|error| error.error)
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Ok(()); // two layers of the same content
    }
    fs::hard_link(from, to).or_else(|_| {
        fs::copy(from, to)?;
        File::open(to)?.sync_all()
    })
}

#[cfg(test)]
mod tests;
