//! An image that can only be named once it is published.

use harmony_types::{Digest, ImageRef};

/// A published image by digest, `name@sha256:...`. Only publishing gives one, so a chart that needs it comes after its
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage(ImageRef);

impl PinnedImage {
    pub(crate) fn new(name: &ImageRef, digest: &Digest) -> Self {
        let untagged = ImageRef::new(name.registry().clone(), name.repository().clone());
        Self(untagged.with_digest(digest.clone()))
    }

    /// Stands for an image that a plan would build: its digest is not known, and all zeros here.
    pub(crate) fn unbuilt(name: &ImageRef) -> Self {
        Self::new(name, &Digest::sha256_from_bytes([0; 32]))
    }

    /// What a chart names.
    pub fn reference(&self) -> &ImageRef {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        self.0
            .digest()
            .expect("`new` gave it one, and nothing takes it away")
    }
}
