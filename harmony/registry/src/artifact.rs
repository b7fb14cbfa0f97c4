//! What is pushed: manifests and the blobs they reference. Images and charts are the same here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream;
use harmony_oci::hash::Hashing;
use harmony_oci::{Layout, LayoutError, sha256};
use harmony_types::{Digest, ImageRef, RegistryHost, Repository};
use oci_distribution::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use reqwest::Body;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// How much of a blob is in memory at once, for each blob that is sent at the same time.
const PIECE: usize = 128 * 1024;

/// Manifests and blobs, complete and consistent.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// A manifest follows everything it references; the last one is the artifact itself.
    pub(crate) manifests: Vec<Manifest>,
    /// The configs and layers of all manifests, without duplicates.
    pub(crate) blobs: Vec<Blob>,
    /// A repository of the same registry that may have some of the blobs, such as that of the base image.
    pub(crate) relative: Option<Repository>,
}

impl Artifact {
    /// The image with this digest in the layout at `path`, for `registry`. Blocks on disk I/O.
    ///
    /// Blobs are verified when they are sent.
    pub(crate) fn of_layout(
        path: &Path,
        digest: &Digest,
        registry: &RegistryHost,
    ) -> Result<Self, LayoutError> {
        let contents = Layout::open(path)?.contents(digest)?;
        let relative = contents
            .base
            .and_then(|name| ImageRef::parse(name).ok())
            .filter(|base| base.registry() == registry)
            .map(|base| base.repository().clone());
        let manifests = contents.manifests.into_iter().map(|manifest| Manifest {
            digest: manifest.digest,
            media_type: manifest.media_type,
            bytes: manifest.bytes.into(),
        });
        let blobs = contents.blobs.into_iter().map(|blob| Blob {
            digest: blob.digest,
            size: blob.place.size,
            source: BlobSource::File {
                path: blob.place.path,
                offset: blob.place.offset,
            },
        });
        Ok(Self {
            manifests: manifests.collect(),
            blobs: blobs.collect(),
            relative,
        })
    }

    /// The artifact with this manifest, which references only `blobs`.
    pub(crate) fn of_blobs(
        manifest: &OciImageManifest,
        blobs: Vec<Blob>,
    ) -> Result<Self, serde_json::Error> {
        let bytes = Bytes::from(serde_json::to_vec(manifest)?);
        Ok(Self {
            manifests: vec![Manifest {
                digest: sha256(&bytes),
                media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
                bytes,
            }],
            blobs,
            relative: None,
        })
    }

    /// The maximum number of bytes to send.
    pub(crate) fn size(&self) -> u64 {
        let sizes = self.blobs.iter().map(|blob| blob.size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// A manifest or an index, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// A config or a layer.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) source: BlobSource,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub(crate) enum BlobSource {
    Memory(Bytes),
    /// A part of a file: all of it in a layout directory, a range of it in an archive.
    File {
        path: PathBuf,
        offset: u64,
    },
}

/// Where a body reports that its own bytes are wrong. Its request then fails in one of many ways; this is the reason.
pub(crate) type Fault = Arc<OnceLock<LayoutError>>;

/// The digest and the size that a manifest gives for a blob, or why they are not usable.
pub(crate) fn described(descriptor: &OciDescriptor) -> Result<(Digest, u64), String> {
    let digest = Digest::parse(&descriptor.digest).map_err(|error| error.to_string())?;
    let size = u64::try_from(descriptor.size).map_err(|_| "a size is negative".to_owned())?;
    Ok((digest, size))
}

impl Blob {
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self {
            digest: sha256(&bytes),
            size: bytes.len() as u64,
            source: BlobSource::Memory(bytes),
        }
    }

    pub(crate) fn descriptor(&self, media_type: &str) -> OciDescriptor {
        OciDescriptor {
            media_type: media_type.to_owned(),
            digest: self.digest.to_string(),
            // No file system holds a file of more bytes.
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        }
    }

    /// The bytes as a body, read as they are sent and counted in `sent`.
    ///
    /// They are hashed while they are sent. If they do not match the digest (a file changed after the build), the last
    /// chunk is held back: no registry accepts the blob, and `fault` holds the reason.
    pub(crate) fn body(&self, sent: &Arc<AtomicU64>, fault: &Fault) -> Body {
        let reading = Reading {
            left: self.size,
            hashing: Some(Hashing::like(&self.digest)),
            blob: self.clone(),
            file: None,
            sent: Arc::clone(sent),
            fault: Arc::clone(fault),
        };
        Body::wrap_stream(stream::try_unfold(reading, Reading::next))
    }
}

struct Reading {
    blob: Blob,
    file: Option<tokio::fs::File>,
    left: u64,
    hashing: Option<Hashing>,
    sent: Arc<AtomicU64>,
    fault: Fault,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let piece = match self.read().await {
            Ok(piece) => piece,
            Err(source) => {
                let digest = self.blob.digest.clone();
                return Err(self.fail(LayoutError::Blob { digest, source }));
            }
        };
        if let Some(hashing) = &mut self.hashing {
            hashing.update(&piece);
        }
        self.left -= piece.len() as u64;
        if self.left == 0
            && let Some(hashing) = self.hashing.take()
        {
            let found = hashing.finish();
            if found != self.blob.digest {
                let digest = self.blob.digest.clone();
                return Err(self.fail(LayoutError::Changed { digest, found }));
            }
        }
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok(Some((piece, self)))
    }

    async fn read(&mut self) -> io::Result<Bytes> {
        let length = PIECE.min(usize::try_from(self.left).unwrap_or(PIECE));
        match &self.blob.source {
            BlobSource::Memory(bytes) => {
                let at = bytes
                    .len()
                    .saturating_sub(usize::try_from(self.left).unwrap_or(0));
                bytes
                    .get(at..at + length)
                    .map(|piece| bytes.slice_ref(piece))
                    .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            BlobSource::File { path, offset } => {
                let file = match &mut self.file {
                    Some(file) => file,
                    none => {
                        let mut file = tokio::fs::File::open(path).await?;
                        file.seek(io::SeekFrom::Start(*offset)).await?;
                        none.insert(file)
                    }
                };
                let mut piece = vec![0; length];
                file.read_exact(&mut piece).await?;
                Ok(piece.into())
            }
        }
    }

    fn fail(&self, error: LayoutError) -> io::Error {
        let shown = io::Error::other(error.to_string());
        // The first reason wins.
        drop(self.fault.set(error));
        shown
    }
}

#[cfg(test)]
mod tests {
    use harmony_oci::contents::media;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_base_is_a_relative_when_it_is_in_the_same_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("oci-layout"), "{}").expect("a file");
        let blob = |bytes: &[u8]| {
            let digest = sha256(bytes);
            let path = folder.path().join(harmony_oci::layout::blob_path(&digest));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("a blob");
            digest
        };
        let config = blob(b"{}");
        let relative = |base: &str| {
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": media::MANIFEST,
                "config": {"mediaType": "c", "digest": config, "size": 2},
                "layers": [],
                "annotations": {"org.opencontainers.image.base.name": base},
            });
            let digest = blob(manifest.to_string().as_bytes());
            let registry = RegistryHost::parse("r.example.com").expect("a host");
            let artifact = Artifact::of_layout(folder.path(), &digest, &registry);
            let relative = artifact.expect("an artifact").relative;
            relative.map(|repository| repository.to_string())
        };
        assert_eq!(
            relative("r.example.com/base/debian:13"),
            Some("base/debian".into())
        );
        assert_eq!(relative("docker.io/library/debian:13"), None);
        assert_eq!(relative("not a reference"), None);
    }
}
