//! A layout with one image in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use harmony_types::Digest;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use crate::contents::{digest_of, total_size};
use crate::error::LayoutError;
use crate::layout::{Layout, Stretch};

/// A complete layout with one image.
#[derive(Debug, Clone)]
pub struct Image {
    layout: Layout,
    digest: Digest,
    descriptor: Descriptor,
    manifest: ImageManifest,
    layers_size: u64,
}

impl Image {
    /// Opens a layout and checks that every blob exists in its full size. Only [`verify`](Self::verify) reads the
    /// contents.
    ///
    /// # Errors
    /// It is not a layout, does not hold exactly one image, or the image is not complete.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let layout = Layout::open(path)?;
        let index = layout.index()?;
        let [descriptor] = index.manifests().as_slice() else {
            return Err(LayoutError::Images {
                path: layout.path().to_owned(),
                count: index.manifests().len(),
            });
        };
        let digest = digest_of(descriptor).map_err(|_| LayoutError::NotALayout {
            path: layout.path().to_owned(),
            reason: "its index names the image by an unknown kind of digest",
        })?;
        let manifest: ImageManifest =
            serde_json::from_slice(&layout.document(&digest)?).map_err(|source| {
                LayoutError::Malformed {
                    digest: digest.clone(),
                    source,
                }
            })?;
        let invalid = |reason| LayoutError::Invalid {
            digest: digest.clone(),
            reason,
        };
        for blob in std::iter::once(manifest.config()).chain(manifest.layers()) {
            layout.sized(&digest_of(blob).map_err(invalid)?, blob.size())?;
        }
        let layers_size =
            total_size(manifest.layers().iter().map(Descriptor::size)).map_err(invalid)?;
        Ok(Self {
            descriptor: descriptor.clone(),
            layout,
            digest,
            manifest,
            layers_size,
        })
    }

    /// Reads every blob and checks it against its digest.
    ///
    /// # Errors
    /// [`LayoutError::Changed`] for the first one that is damaged.
    pub fn verify(&self) -> Result<(), LayoutError> {
        // The manifest was read, and so checked, when the layout was opened.
        for blob in self.blobs().skip(1) {
            self.layout.verify(&self.named(blob)?, blob.size())?;
        }
        Ok(())
    }

    /// The layout that the image is in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The digest of the manifest: the digest of the image.
    pub fn digest(&self) -> &Digest {
        &self.digest
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
    /// The configuration is damaged or is not one.
    pub fn config(&self) -> Result<ImageConfiguration, LayoutError> {
        let digest = self.named(self.manifest.config())?;
        serde_json::from_slice(&self.layout.document(&digest)?)
            .map_err(|source| LayoutError::Malformed { digest, source })
    }

    /// Where the content of a descriptor of this image is.
    ///
    /// # Errors
    /// The blob is missing.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Stretch, LayoutError> {
        self.layout.blob(&self.named(descriptor)?)
    }

    /// Manifest, config and layers, in this order, each once.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = BTreeSet::new();
        [&self.descriptor, self.manifest.config()]
            .into_iter()
            .chain(self.manifest.layers())
            .filter(move |blob| seen.insert(blob.digest().digest()))
    }

    /// The compressed size of all layers, in bytes.
    pub fn layers_size(&self) -> u64 {
        self.layers_size
    }

    fn named(&self, descriptor: &Descriptor) -> Result<Digest, LayoutError> {
        digest_of(descriptor).map_err(|reason| LayoutError::Invalid {
            digest: self.digest.clone(),
            reason,
        })
    }
}
