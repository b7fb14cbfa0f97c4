//! Reading an image from an OCI layout: a directory, or the same in a tar archive as `docker save` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use harmony_types::{Digest, ImageRef, RegistryHost};
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex, OciImageManifest,
};
use serde::Deserialize;

use crate::artifact::{Artifact, Blob, BlobSource, Manifest};
use crate::hashing;
use crate::layout_error::LayoutError;

/// The annotation that names the base image (OCI image specification, annotations).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The largest manifest that registries take.
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
/// An index of indexes is legal; more than that is a mistake, or a circle.
const MAX_DEPTH: usize = 3;

/// Reads the image with this digest from the layout at `path`.
///
/// Manifests are read and checked; of blobs only the presence and size is: their bytes are checked when they are
/// sent. Blocks on the disk.
pub(crate) fn read(
    path: &Path,
    digest: &Digest,
    registry: &RegistryHost,
) -> Result<Artifact, LayoutError> {
    let layout = Layout::open(path)?;
    let mut gathered = Gathered::default();
    gathered.manifest(&layout, digest, None, 0)?;
    let relative = gathered
        .base
        .and_then(|name| ImageRef::parse(name).ok())
        .filter(|base| base.registry() == registry)
        .map(|base| base.repository().clone());
    Ok(Artifact {
        manifests: gathered.manifests,
        blobs: gathered.blobs,
        relative,
    })
}

/// Where the blobs of a layout are.
enum Layout {
    Directory(PathBuf),
    /// Name in the archive to place and size in its file.
    Archive {
        path: PathBuf,
        entries: BTreeMap<PathBuf, (u64, u64)>,
    },
}

impl Layout {
    fn open(path: &Path) -> Result<Self, LayoutError> {
        let failed = |source| LayoutError::Open {
            path: path.to_owned(),
            source,
        };
        let not_a_layout = |reason| LayoutError::NotALayout {
            path: path.to_owned(),
            reason,
        };
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            if !path.join("oci-layout").is_file() {
                return Err(not_a_layout("it has no file `oci-layout`"));
            }
            return Ok(Self::Directory(path.to_owned()));
        }
        let mut archive = tar::Archive::new(File::open(path).map_err(failed)?);
        let unreadable = |_| not_a_layout("it is no plain tar archive");
        let mut entries = BTreeMap::new();
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.header().entry_type().is_file() {
                let name = entry.path().map_err(unreadable)?;
                let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
                entries.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        if !entries.contains_key(Path::new("oci-layout")) {
            return Err(not_a_layout("the archive has no file `oci-layout`"));
        }
        Ok(Self::Archive {
            path: path.to_owned(),
            entries,
        })
    }

    /// Where a blob is, and its size.
    fn find(&self, digest: &Digest) -> Result<(BlobSource, u64), LayoutError> {
        let missing = || LayoutError::Missing {
            digest: digest.clone(),
        };
        let name = blob_path(digest);
        match self {
            Self::Directory(path) => {
                let path = path.join(name);
                let size = std::fs::metadata(&path).map_err(|_| missing())?.len();
                Ok((BlobSource::File { path, offset: 0 }, size))
            }
            Self::Archive { path, entries } => {
                let (offset, size) = *entries.get(&name).ok_or_else(missing)?;
                let path = path.clone();
                Ok((BlobSource::File { path, offset }, size))
            }
        }
    }

    /// A manifest, whole and checked.
    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, LayoutError> {
        let failed = |source| LayoutError::Blob {
            digest: digest.clone(),
            source,
        };
        let (source, size) = self.find(digest)?;
        if size > MANIFEST_LIMIT {
            return Err(LayoutError::Invalid {
                digest: digest.clone(),
                reason: format!("it has {size} bytes, {MANIFEST_LIMIT} is the limit"),
            });
        }
        let mut bytes = Vec::new();
        if let BlobSource::File { path, offset } = source {
            let mut file = File::open(path).map_err(failed)?;
            file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            file.take(size).read_to_end(&mut bytes).map_err(failed)?;
        }
        let found = hashing::digest_like(digest, &bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(LayoutError::Changed {
                digest: digest.clone(),
                found,
            })
        }
    }
}

/// `blobs/sha256/<hex>` (OCI image layout specification).
pub(crate) fn blob_path(digest: &Digest) -> PathBuf {
    ["blobs", digest.algorithm().as_str(), digest.hex()]
        .iter()
        .collect()
}

#[derive(Default)]
struct Gathered {
    manifests: Vec<Manifest>,
    blobs: Vec<Blob>,
    seen: BTreeSet<Digest>,
    base: Option<String>,
}

impl Gathered {
    /// Takes in a manifest or index and all below it, itself last.
    fn manifest(
        &mut self,
        layout: &Layout,
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
        let bytes = layout.manifest(digest)?;
        let kind: Kind = serde_json::from_slice(&bytes).map_err(malformed)?;
        let media_type = kind.media_type(said);
        match media_type.as_str() {
            OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE => {
                let manifest: OciImageManifest =
                    serde_json::from_slice(&bytes).map_err(malformed)?;
                for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    self.blob(layout, descriptor).map_err(|error| match error {
                        BlobError::Descriptor(reason) => invalid(reason),
                        BlobError::Layout(error) => error,
                    })?;
                }
                if let Some(name) = manifest.annotations.unwrap_or_default().remove(BASE_NAME) {
                    self.base.get_or_insert(name);
                }
            }
            OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE => {
                let index: OciImageIndex = serde_json::from_slice(&bytes).map_err(malformed)?;
                for entry in &index.manifests {
                    let child =
                        Digest::parse(&entry.digest).map_err(|error| invalid(error.to_string()))?;
                    self.manifest(layout, &child, Some(&entry.media_type), depth + 1)?;
                }
            }
            other => return Err(invalid(format!("its media type is `{other}`"))),
        }
        self.manifests.push(Manifest {
            digest: digest.clone(),
            media_type,
            bytes: bytes.into(),
        });
        Ok(())
    }

    fn blob(&mut self, layout: &Layout, descriptor: &OciDescriptor) -> Result<(), BlobError> {
        let digest = Digest::parse(&descriptor.digest)
            .map_err(|error| BlobError::Descriptor(error.to_string()))?;
        let expected = u64::try_from(descriptor.size).map_err(|_| {
            BlobError::Descriptor(format!("`{digest}` has a size of {}", descriptor.size))
        })?;
        // Layers that may not be handed on stay where their URLs say.
        let foreign = descriptor
            .urls
            .as_ref()
            .is_some_and(|urls| !urls.is_empty());
        if foreign || !self.seen.insert(digest.clone()) {
            return Ok(());
        }
        let (source, found) = layout.find(&digest).map_err(BlobError::Layout)?;
        if found != expected {
            return Err(BlobError::Layout(LayoutError::Size {
                digest,
                expected,
                found,
            }));
        }
        self.blobs.push(Blob {
            digest,
            size: expected,
            source,
        });
        Ok(())
    }
}

enum BlobError {
    Descriptor(String),
    Layout(LayoutError),
}

/// What tells an image manifest from an index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Kind {
    /// The media type: what the manifest says, else what `said` of it, else what it looks like.
    pub(crate) fn media_type(&self, said: Option<&str>) -> String {
        let looks = if self.manifests.is_some() {
            OCI_IMAGE_INDEX_MEDIA_TYPE
        } else {
            OCI_IMAGE_MEDIA_TYPE
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
