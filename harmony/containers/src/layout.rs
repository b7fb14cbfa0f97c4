//! An image as a directory: the OCI image layout.
//!
//! ```text
//! <directory>/oci-layout            which version of the format
//! <directory>/index.json            names the one manifest
//! <directory>/blobs/sha256/<hex>    manifest, config, layers
//! ```
//!
//! A layout appears under its name only when it is complete: it is put together beside, then renamed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use harmony_core::capability::container_builder::BuildError;
use harmony_types::Digest;
use oci_spec::image::{
    Descriptor, ImageConfiguration, ImageIndex, ImageIndexBuilder, ImageManifest, MediaType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// The content of the file `oci-layout`; image specification, "Image Layout".
const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A complete layout on disk with one image in it.
#[derive(Debug, Clone)]
pub struct OciLayout {
    directory: PathBuf,
    descriptor: Descriptor,
    manifest: ImageManifest,
}

/// Why a directory is not a layout with one complete image.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of it cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of it is not the JSON it should be.
    #[error("`{}` is not what the OCI image specification asks for", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The index names no manifest, or several.
    #[error("`{}` holds {count} images, not one", path.display())]
    Images {
        /// The layout.
        path: PathBuf,
        /// How many it holds.
        count: usize,
    },
    /// A blob is missing or cut off.
    #[error("the blob {digest} in `{}` has {found} bytes, not {expected}", path.display())]
    Blob {
        /// The layout.
        path: PathBuf,
        /// Which blob.
        digest: String,
        /// Its size by the manifest, in bytes.
        expected: u64,
        /// Its size on disk, in bytes; 0 when it is missing.
        found: u64,
    },
}

impl OciLayout {
    /// Opens a layout and checks that every blob is there in full size. Contents are not hashed.
    ///
    /// # Errors
    /// See [`LayoutError`].
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let directory = directory.into();
        let index: ImageIndex = read_json(&directory.join("index.json"))?;
        let [descriptor] = index.manifests().as_slice() else {
            return Err(LayoutError::Images {
                path: directory,
                count: index.manifests().len(),
            });
        };
        let descriptor = descriptor.clone();
        let manifest = read_json(&blob_path(&directory, descriptor.digest().digest()))?;
        let layout = Self {
            directory,
            descriptor,
            manifest,
        };
        for blob in layout.blobs() {
            let path = blob_path(&layout.directory, blob.digest().digest());
            let found = fs::metadata(path).map_or(0, |meta| meta.len());
            if found != blob.size() {
                return Err(LayoutError::Blob {
                    path: layout.directory.clone(),
                    digest: blob.digest().to_string(),
                    expected: blob.size(),
                    found,
                });
            }
        }
        Ok(layout)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the index says of the manifest: digest, size, platform.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The manifest.
    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// Reads the image's configuration: user, entrypoint, environment, history.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn config(&self) -> Result<ImageConfiguration, LayoutError> {
        read_json(&self.blob(self.manifest.config()))
    }

    /// Where the content of a descriptor of this image is.
    pub fn blob(&self, descriptor: &Descriptor) -> PathBuf {
        blob_path(&self.directory, descriptor.digest().digest())
    }

    /// Manifest, config and layers, in this order, each once.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = std::collections::BTreeSet::new();
        [&self.descriptor, self.manifest.config()]
            .into_iter()
            .chain(self.manifest.layers())
            .filter(move |blob| seen.insert(blob.digest().digest()))
    }

    /// The compressed size of all layers, in bytes.
    pub fn layers_size(&self) -> u64 {
        self.manifest.layers().iter().map(Descriptor::size).sum()
    }
}

/// The parts of a layout that is still to be written.
#[derive(Debug)]
pub(crate) struct NewLayout<'a> {
    pub(crate) config: &'a [u8],
    pub(crate) manifest: &'a [u8],
    /// What the index says of the manifest.
    pub(crate) descriptor: Descriptor,
    /// The layers' contents: digest and where it lies. They are linked, not copied, where the file system allows.
    pub(crate) layers: Vec<(Digest, PathBuf)>,
}

impl NewLayout<'_> {
    /// Writes the layout to `target` by way of a directory in `staging`, which is on the same file system.
    ///
    /// A complete layout that is there already stays; a damaged one is replaced.
    pub(crate) fn write(&self, target: &Path, staging: &Path) -> Result<OciLayout, BuildError> {
        if let Ok(layout) = OciLayout::open(target) {
            return Ok(layout);
        }
        self.assemble(target, staging)
            .map_err(|source| BuildError::Write {
                path: target.to_owned(),
                source,
            })?;
        OciLayout::open(target).map_err(|error| BuildError::Write {
            path: target.to_owned(),
            source: io::Error::other(error),
        })
    }

    fn assemble(&self, target: &Path, staging: &Path) -> io::Result<()> {
        let staged = tempfile::Builder::new()
            .prefix("image-")
            .tempdir_in(staging)?;
        let blobs = staged.path().join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for content in [self.config, self.manifest] {
            write_synced(&blobs.join(sha256(content).hex()), content)?;
        }
        for (digest, path) in &self.layers {
            link_or_copy(path, &blobs.join(digest.hex()))?;
        }
        let index = ImageIndexBuilder::default()
            .schema_version(oci_spec::image::SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![self.descriptor.clone()])
            .build()
            .map_err(io::Error::other)?;
        write_synced(&staged.path().join("index.json"), &canonical_json(&index)?)?;
        write_synced(&staged.path().join("oci-layout"), LAYOUT_VERSION)?;
        if target.exists() {
            // Damaged, or `write` would not have come here; its pieces go with the staging directory.
            fs::rename(target, staged.path().join("damaged"))?;
        }
        let complete = staged.keep();
        match fs::rename(&complete, target) {
            // Another process was faster: what it wrote has the same name, so the same content.
            Err(_) if target.join("index.json").exists() => fs::remove_dir_all(&complete),
            moved => moved,
        }
    }
}

/// JSON whose bytes depend on the value alone: object keys in order, no spaces.
pub(crate) fn canonical_json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

/// The SHA-256 digest of `content`.
pub(crate) fn sha256(content: &[u8]) -> Digest {
    Digest::sha256_from_bytes(Sha256::digest(content).into())
}

/// Writes a file and waits until it is on the disk, so that a rename after it cannot show it empty.
pub(crate) fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Ok(()); // two layers of the same content
    }
    fs::hard_link(from, to).or_else(|_| {
        fs::copy(from, to)?;
        fs::File::open(to)?.sync_all()
    })
}

fn blob_path(directory: &Path, hex: &str) -> PathBuf {
    directory.join("blobs/sha256").join(hex)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, LayoutError> {
    let content = fs::read(path).map_err(|source| LayoutError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&content).map_err(|source| LayoutError::Json {
        path: path.to_owned(),
        source,
    })
}
