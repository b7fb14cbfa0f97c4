//! A layout with a single image.

use std::collections::BTreeSet;
use std::path::PathBuf;

use harmony_types::Digest;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use crate::contents::{digest_of, total_size};
use crate::error::LayoutError;
use crate::layout::{Layout, Stretch};

/// A complete layout with a single image.
#[derive(Debug, Clone)]
pub struct Image {
    layout: Layout,
    digest: Digest,
    descriptor: Descriptor,
    manifest: ImageManifest,
    layers_size: u64,
}

impl Image {
    /// Opens a layout and checks that every blob exists and has the correct size. Only [`verify`](Self::verify) reads
    /// the content.
    ///
    /// # Errors
    /// It is not a layout, does not contain exactly one image, or the image is incomplete.
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
            reason: "its index uses an unknown digest algorithm",
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

    /// Reads every blob and compares it with its digest.
    ///
    /// # Errors
    /// [`LayoutError::Changed`] for the first damaged blob.
    pub fn verify(&self) -> Result<(), LayoutError> {
        // The manifest was read and verified when the layout was opened.
        for blob in self.blobs().skip(1) {
            self.layout.verify(&self.named(blob)?, blob.size())?;
        }
        Ok(())
    }

    /// The layout of the image.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The digest of the manifest, which is that of the image.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The descriptor of the manifest in the index: digest, size, platform.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// Reads the configuration of the image: user, entrypoint, environment, history.
    ///
    /// # Errors
    /// The configuration is damaged or not valid.
    pub fn config(&self) -> Result<ImageConfiguration, LayoutError> {
        let digest = self.named(self.manifest.config())?;
        serde_json::from_slice(&self.layout.document(&digest)?)
            .map_err(|source| LayoutError::Malformed { digest, source })
    }

    /// The location of the content of a descriptor of this image.
    ///
    /// # Errors
    /// The blob is missing.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Stretch, LayoutError> {
        self.layout.blob(&self.named(descriptor)?)
    }

    /// The manifest, the configuration and the layers, in this order and without duplicates.
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
