//! Everything that a manifest or an index refers to, in the order in which it must be pushed.

use std::collections::BTreeSet;

use harmony_types::Digest;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::LayoutError;
use crate::layout::{Layout, Stretch};

/// The media types of manifests and indexes.
pub mod media {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// The annotation with the name of the base image (annotations in the OCI image specification).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// An index of indexes is allowed. More levels are a mistake or a circle.
const MAX_DEPTH: usize = 3;

/// What must be pushed for a manifest.
#[derive(Debug, Default)]
pub struct Contents {
    /// The manifests, each after everything that it refers to; the requested one is the last.
    pub manifests: Vec<Manifest>,
    /// The configurations and layers of all manifests, without duplicates.
    pub blobs: Vec<Blob>,
    /// The name of the base image, if a manifest contains one.
    pub base: Option<String>,
    /// The size of all blobs, in bytes.
    pub size: u64,
}

/// A manifest or an index, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub digest: Digest,
    /// The media type in the manifest, otherwise that in the index, otherwise derived from its content.
    pub media_type: String,
    /// The bytes with this digest.
    pub bytes: Vec<u8>,
}

/// A configuration or a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    /// The location of its bytes.
    pub place: Stretch,
}

impl Layout {
    /// Collects the manifest or index `digest` and everything that it refers to.
    ///
    /// Manifests are read and verified. For blobs, only existence and size are checked; their content is verified when
    /// it is read.
    ///
    /// # Errors
    /// Something is missing, damaged or not valid.
    pub fn contents(&self, digest: &Digest) -> Result<Contents, LayoutError> {
        let mut gathering = Gathering {
            layout: self,
            contents: Contents::default(),
            seen: BTreeSet::new(),
        };
        gathering.manifest(digest, None, 0)?;
        Ok(gathering.contents)
    }
}

struct Gathering<'a> {
    layout: &'a Layout,
    contents: Contents,
    seen: BTreeSet<Digest>,
}

impl Gathering<'_> {
    /// Adds a manifest or index after everything below it.
    fn manifest(
        &mut self,
        digest: &Digest,
        said: Option<&str>,
        depth: usize,
    ) -> Result<(), LayoutError> {
        let invalid = |reason: String| LayoutError::Invalid {
            digest: digest.clone(),
            reason,
        };
        let malformed = |source| LayoutError::Malformed {
            digest: digest.clone(),
            source,
        };
        if !self.seen.insert(digest.clone()) {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(invalid("indexes are nested too deep".into()));
        }
        let bytes = self.layout.document(digest)?;
        let kind: ManifestKind = serde_json::from_slice(&bytes).map_err(malformed)?;
        let media_type = kind.media_type(said);
        match media_type.as_str() {
            media::MANIFEST | media::DOCKER_MANIFEST => {
                let manifest: ImageManifest = serde_json::from_slice(&bytes).map_err(malformed)?;
                for descriptor in std::iter::once(manifest.config()).chain(manifest.layers()) {
                    self.blob(digest, descriptor)?;
                }
                if let Some(name) = manifest
                    .annotations()
                    .as_ref()
                    .and_then(|all| all.get(BASE_NAME))
                {
                    self.contents.base.get_or_insert_with(|| name.clone());
                }
            }
            media::INDEX | media::DOCKER_INDEX => {
                let index: ImageIndex = serde_json::from_slice(&bytes).map_err(malformed)?;
                for entry in index.manifests() {
                    let child = digest_of(entry).map_err(invalid)?;
                    self.manifest(&child, Some(entry.media_type().as_ref()), depth + 1)?;
                }
            }
            other => return Err(invalid(format!("its media type is `{other}`"))),
        }
        self.contents.manifests.push(Manifest {
            digest: digest.clone(),
            media_type,
            bytes,
        });
        Ok(())
    }

    fn blob(&mut self, manifest: &Digest, descriptor: &Descriptor) -> Result<(), LayoutError> {
        let invalid = |reason| LayoutError::Invalid {
            digest: manifest.clone(),
            reason,
        };
        let digest = digest_of(descriptor).map_err(invalid)?;
        // Layers that must not be distributed stay at their URLs.
        let foreign = descriptor
            .urls()
            .as_ref()
            .is_some_and(|urls| !urls.is_empty());
        if foreign || !self.seen.insert(digest.clone()) {
            return Ok(());
        }
        let place = self.layout.sized(&digest, descriptor.size())?;
        self.contents.size = add_size(self.contents.size, place.size).map_err(invalid)?;
        self.contents.blobs.push(Blob { digest, place });
        Ok(())
    }
}

/// The digest in a descriptor.
///
/// # Errors
/// The problem, as a sentence about the manifest.
pub fn digest_of(descriptor: &Descriptor) -> Result<Digest, String> {
    Digest::parse(descriptor.digest()).map_err(|error| error.to_string())
}

/// The sum of sizes in a manifest, which can be any numbers.
///
/// # Errors
/// The sum is too large, as a sentence about the manifest.
pub fn total_size(sizes: impl IntoIterator<Item = u64>) -> Result<u64, String> {
    sizes.into_iter().try_fold(0, add_size)
}

fn add_size(sum: u64, size: u64) -> Result<u64, String> {
    // In the specification, sizes are signed 64-bit numbers.
    sum.checked_add(size)
        .filter(|sum| i64::try_from(*sum).is_ok())
        .ok_or_else(|| "the sum of its sizes is too large".to_owned())
}

/// The fields that distinguish an image manifest from an index.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestKind {
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
}

impl ManifestKind {
    /// The media type: from the manifest, otherwise `said`, otherwise derived from its content.
    pub fn media_type(&self, said: Option<&str>) -> String {
        let looks = if self.manifests.is_some() {
            media::INDEX
        } else {
            media::MANIFEST
        };
        self.media_type
            .as_deref()
            .or(said)
            .unwrap_or(looks)
            .to_owned()
    }
}

#[cfg(test)]
mod tests;
