//! Reads images and charts, with every byte verified against its digest.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::event::Step;
use harmony_core::image::{BuiltImage, ImageLocation};
use harmony_core::inventory::Platform;
use harmony_oci::contents::{ManifestKind, digest_of, media, total_size};
use harmony_oci::hash::{Hashing, digest_like};
use harmony_oci::spec::{Descriptor, ImageIndex, ImageManifest};
use harmony_oci::{Incoming, write};
use harmony_types::Digest;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::artifact::Manifest;
use crate::error::ClientError;
use crate::scope::Scope;
use crate::transport::{Call, Transport, api_path, retrying};
use crate::wire::Failure;
use crate::{answer, manifest, push};

const AT_ONCE: usize = 4;
/// The maximum number of platforms of an index in an error.
const SHOWN_PLATFORMS: usize = 20;

/// Reads a manifest by tag or digest.
pub(crate) async fn manifest(
    transport: &Transport,
    scope: &Scope,
    name: &str,
    reference: &str,
) -> Result<Manifest, RegistryError> {
    manifest::read(transport, scope, name)
        .await?
        .ok_or_else(|| RegistryError::NotFound {
            reference: reference.to_owned(),
        })
}

/// Reads a small blob of the size in its manifest, but never more than `limit`.
pub(crate) async fn small_blob(
    transport: &Transport,
    scope: &Scope,
    (digest, size): (Digest, u64),
    limit: u64,
) -> Result<Bytes, RegistryError> {
    let (digest, limit) = (&digest, limit.min(size));
    retrying(|| async {
        let what = format!("`{digest}` of `{}`", scope.repository);
        let response = open(transport, scope, digest, 0).await?;
        let bytes = transport.wire().body(response, &what, limit).await?;
        let received = digest_like(digest, &bytes);
        if received == *digest {
            Ok(bytes)
        } else {
            Err(corrupt(what, digest, received))
        }
    })
    .await
}

/// The manifest of the image for one platform: the matching one of an index, else the image itself.
pub(crate) async fn of_platform(
    transport: &Transport,
    scope: &Scope,
    name: &str,
    platform: &Platform,
    reference: &str,
) -> Result<Manifest, RegistryError> {
    let top = manifest(transport, scope, name, reference).await?;
    let unreadable = |error: serde_json::Error| {
        transport.nonsense(
            &format!("reading `{reference}`"),
            format!("cannot parse its manifest: {error}"),
        )
    };
    let kind: ManifestKind = serde_json::from_slice(&top.bytes).map_err(unreadable)?;
    let media_type = kind.media_type(
        Some(&top.media_type)
            .filter(|text| !text.is_empty())
            .map(String::as_str),
    );
    if ![media::INDEX, media::DOCKER_INDEX].contains(&media_type.as_str()) {
        return Ok(Manifest { media_type, ..top });
    }
    let index: ImageIndex = serde_json::from_slice(&top.bytes).map_err(unreadable)?;
    let platforms = index.manifests().iter().map(|entry| {
        let named = entry.platform().as_ref();
        named.map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
    });
    let available: Vec<Option<String>> = platforms.collect();
    let wanted = platform.to_string();
    let fitting = available
        .iter()
        .position(|platform| platform.as_deref() == Some(wanted.as_str()))
        .map(|at| &index.manifests()[at]);
    let Some(fitting) = fitting else {
        return Err(ClientError::NoPlatform {
            reference: reference.to_owned(),
            platform: wanted,
            available: available
                .into_iter()
                .flatten()
                .take(SHOWN_PLATFORMS)
                .map(|platform| answer::shown(&platform))
                .collect(),
        }
        .into());
    };
    let digest = fitting.digest().to_string();
    let found = manifest(transport, scope, &digest, reference).await?;
    Ok(Manifest {
        media_type: fitting.media_type().to_string(),
        ..found
    })
}

/// Writes an image to an OCI layout directory, as its only manifest. Existing blobs are not read again, and
/// `index.json` is written last: a directory that has it is complete.
pub(crate) async fn image(
    transport: &Transport,
    scope: &Scope,
    manifest: &Manifest,
    directory: &Path,
    step: &Step,
) -> Result<BuiltImage, RegistryError> {
    let image: ImageManifest = serde_json::from_slice(&manifest.bytes).map_err(|error| {
        transport.nonsense(
            &format!("reading `{}@{}`", scope.repository, manifest.digest),
            format!("cannot parse its manifest: {error}"),
        )
    })?;
    let invalid = |reason| transport.nonsense(&format!("reading `{}`", scope.repository), reason);
    let wanted = wanted(&image).map_err(invalid)?;
    let total = total_size(wanted.iter().map(|(_, size)| *size)).map_err(invalid)?;
    let layers_size = total_size(image.layers().iter().map(Descriptor::size)).map_err(invalid)?;
    let counters: Vec<Arc<AtomicU64>> = wanted.iter().map(|_| Arc::default()).collect();
    let mut pulls = Vec::new();
    for ((digest, size), counter) in wanted.iter().zip(&counters) {
        let (owned, looked_for) = (directory.to_owned(), digest.clone());
        pulls.push(async move {
            let has = move || Incoming::new(&owned).has(&looked_for);
            if !tokio::task::spawn_blocking(has).await.unwrap_or(false) {
                let path = Incoming::new(directory).path(digest);
                let kept = Mutex::new(None);
                retrying(|| async {
                    let wanted = (digest, *size);
                    let mut kept = kept.lock().await;
                    blob_to_file(transport, scope, wanted, &path, counter, &mut kept).await
                })
                .await?;
            }
            counter.store(*size, Ordering::Relaxed);
            Ok::<_, RegistryError>(())
        });
    }
    let pulling = stream::iter(pulls)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>();
    push::watched(step, &counters, total, pulling).await?;
    let (owned, manifest) = (directory.to_owned(), manifest.clone());
    let digest = manifest.digest.clone();
    let finish = move || {
        let Manifest {
            digest,
            media_type,
            bytes,
        } = &manifest;
        Incoming::new(&owned).finish(digest, media_type, bytes)
    };
    let local = |source| RegistryError::Local {
        what: directory.display().to_string(),
        source,
    };
    tokio::task::spawn_blocking(finish)
        .await
        .map_err(|error| local(error.into()))?
        .map_err(|error| local(error.into()))?;
    Ok(BuiltImage {
        digest,
        location: ImageLocation::OciLayout(directory.to_owned()),
        size: layers_size,
    })
}

/// Config and layers, without duplicates.
fn wanted(image: &ImageManifest) -> Result<Vec<(Digest, u64)>, String> {
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for descriptor in std::iter::once(image.config()).chain(image.layers()) {
        let digest = digest_of(descriptor)?;
        if seen.insert(digest.clone()) {
            wanted.push((digest, descriptor.size()));
        }
    }
    Ok(wanted)
}

/// Starts to read a blob from `offset`. A registry without support for that sends all of it, with another status.
async fn open(
    transport: &Transport,
    scope: &Scope,
    digest: &Digest,
    offset: u64,
) -> Result<Response, Failure> {
    let mut call = Call::new(
        Method::GET,
        api_path(&scope.repository, &format!("blobs/{digest}")),
        scope.clone(),
        format!("reading `{}`", scope.repository),
    );
    if offset > 0 {
        let range = HeaderValue::from_str(&format!("bytes={offset}-"));
        call.headers.extend(range.ok().map(|range| (RANGE, range)));
    }
    let response = transport.send(&call).await?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
            Ok(response)
        }
        StatusCode::NOT_FOUND => Err(RegistryError::NotFound {
            reference: format!("{}/{}@{digest}", transport.registry(), scope.repository),
        }
        .into()),
        _ => Err(transport.rejection(&call, response).await),
    }
}

/// A partly received blob: the next attempt continues where this one stopped.
struct Download {
    file: tokio::fs::File,
    unfinished: TempPath,
    hashing: Hashing,
    received: u64,
}

impl Download {
    fn new(path: &Path, digest: &Digest) -> io::Result<Self> {
        let (file, unfinished) = write::beside(path)?;
        Ok(Self {
            file: tokio::fs::File::from_std(file),
            unfinished,
            hashing: Hashing::like(digest),
            received: 0,
        })
    }
}

async fn blob_to_file(
    transport: &Transport,
    scope: &Scope,
    (digest, size): (&Digest, u64),
    path: &Path,
    counter: &AtomicU64,
    kept: &mut Option<Download>,
) -> Result<(), Failure> {
    let failed = |source| ClientError::Write {
        path: path.to_owned(),
        source,
    };
    let offset = kept.as_ref().map_or(0, |download| download.received);
    let mut response = open(transport, scope, digest, offset).await?;
    let goes_on =
        response.status() == StatusCode::PARTIAL_CONTENT && starts_at(response.headers(), offset);
    let mut download = match kept.take() {
        Some(download) if goes_on => download,
        _ => {
            if response.status() != StatusCode::OK {
                response = open(transport, scope, digest, 0).await?;
            }
            Download::new(path, digest).map_err(failed)?
        }
    };
    counter.store(download.received, Ordering::Relaxed);
    loop {
        let piece = match transport.wire().piece(&mut response).await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(broken) => {
                *kept = Some(download);
                return Err(broken);
            }
        };
        let received = download.received + piece.len() as u64;
        if received > size {
            let operation = format!("reading `{}`", scope.repository);
            let answer = format!("`{digest}` has more than the {size} bytes in its manifest");
            return Err(transport.nonsense(&operation, answer).into());
        }
        download.hashing.update(&piece);
        download.file.write_all(&piece).await.map_err(failed)?;
        download.received = received;
        counter.store(received, Ordering::Relaxed);
    }
    download.file.flush().await.map_err(failed)?;
    let received = download.hashing.finish();
    if received != *digest {
        let what = format!("`{digest}` of `{}`", scope.repository);
        return Err(corrupt(what, digest, received));
    }
    download
        .unfinished
        .persist(path)
        .map_err(|error| failed(error.error))?;
    Ok(())
}

/// Whether a part of a blob is the requested one: `Content-Range: bytes 1000-1999/2000`.
fn starts_at(headers: &HeaderMap, offset: u64) -> bool {
    let range = headers
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    start.is_some_and(|(start, _)| start.trim().parse() == Ok(offset))
}

/// Corrupt or truncated data is retried.
fn corrupt(what: String, expected: &Digest, received: Digest) -> Failure {
    Failure::transient(ClientError::Corrupt {
        what,
        expected: expected.clone(),
        received,
    })
}
