//! A reference to a published image.

use harmony_types::{Digest, ImageRef};

/// A published image by digest, `name@sha256:...`. Only publishing an image creates one, so a chart that needs it comes
/// after its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage(ImageRef);

impl PinnedImage {
    pub(crate) fn new(name: &ImageRef, digest: &Digest) -> Self {
        let untagged = ImageRef::new(name.registry().clone(), name.repository().clone());
        Self(untagged.with_digest(digest.clone()))
    }

    /// A placeholder for an image that a plan would build. Its digest is not known and consists of zeros.
    pub(crate) fn unbuilt(name: &ImageRef) -> Self {
        Self::new(name, &Digest::sha256_from_bytes([0; 32]))
    }

    /// The reference for charts.
    pub fn reference(&self) -> &ImageRef {
        &self.0
    }

    pub fn digest(&self) -> &Digest {
        self.0
            .digest()
            .expect("`new` gave it one, and nothing takes it away")
    }
}
