//! New layouts. A layout is complete when it has its `index.json`, which is always written last.

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

/// An image whose parts exist and that is to be written in one piece.
#[derive(Debug, Clone)]
pub struct NewImage<'a> {
    /// Configuration and manifest.
    pub documents: &'a Documents,
    /// The layers' contents: digest and where it is. They are linked, not copied, where the file system allows.
    pub layers: Vec<(Digest, PathBuf)>,
}

impl NewImage<'_> {
    /// Writes the layout to `target` by way of a directory in `staging`, which is on the same file system.
    ///
    /// An intact layout that exists already stays; a damaged one is replaced.
    ///
    /// # Errors
    /// [`LayoutError::Write`]; others when what was written is not an image.
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
            // Damaged, or `write` would not have come here; its pieces go with the staging directory.
            let damaged = tempfile::Builder::new()
                .prefix("damaged-")
                .tempdir_in(staging)?;
            fs::rename(target, damaged.path().join("image"))?;
        }
        let complete = staged.keep();
        match fs::rename(&complete, target) {
            // Another process was faster: what it wrote has the same name, so the same content.
            Err(_) if target.join(INDEX_FILE).exists() => fs::remove_dir_all(&complete),
            moved => moved,
        }
    }
}

/// A layout that receives an image blob by blob, such as one that is pulled. It can be continued after an interruption.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    directory: &'a Path,
}

impl<'a> Incoming<'a> {
    /// Into this directory, which need not exist.
    pub fn new(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// Where the blob will be.
    pub fn path(self, digest: &Digest) -> PathBuf {
        self.directory.join(blob_path(digest))
    }

    /// Whether the blob is there, whole and undamaged.
    pub fn has(self, digest: &Digest) -> bool {
        is_intact(&self.path(digest), digest)
    }

    /// Completes the layout: its manifest, and the index that names it.
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

/// A file that takes its name when it is whole, and goes when it never is. Makes the folder.
///
/// # Errors
/// The folder cannot be written.
pub fn beside(path: &Path) -> io::Result<(File, TempPath)> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    Ok(tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempfile_in(folder)?
        .into_parts())
}

/// Writes a file in one step: a reader sees the old content or the new one, also after a crash.
///
/// # Errors
/// The folder cannot be written.
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
