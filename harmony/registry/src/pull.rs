//! Reading images and charts, every byte checked against its digest.

use std::collections::BTreeSet;
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
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncWriteExt;

use crate::artifact::Manifest;
use crate::auth::Scope;
use crate::error::ClientError;
use crate::transport::{Call, Transport, api_path, retrying};
use crate::wire::Failure;
use crate::{manifest, push};

const AT_ONCE: usize = 4;

/// Reads a manifest by tag or digest.
pub(crate) async fn manifest(
    transport: &Transport,
    scope: &Scope,
    name: &str,
    reference: &str,
) -> Result<Manifest, RegistryError> {
    retrying(|| manifest::get(transport, scope, name))
        .await?
        .ok_or_else(|| RegistryError::NotFound {
            reference: reference.to_owned(),
        })
}

/// Reads a small blob.
pub(crate) async fn small_blob(
    transport: &Transport,
    scope: &Scope,
    digest: &Digest,
    limit: u64,
) -> Result<Bytes, RegistryError> {
    retrying(|| async {
        let what = format!("`{digest}` of `{}`", scope.repository);
        let response = open(transport, scope, digest).await?;
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

/// The manifest of the image for one platform: of an index, the one that fits; else the image itself.
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
            format!("its manifest cannot be understood: {error}"),
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
            available: available.into_iter().flatten().collect(),
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

/// Writes an image to an OCI layout directory, as its only manifest. What the directory has already is not read
/// again, and `index.json` comes last: a directory that has it is whole.
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
            format!("its manifest cannot be understood: {error}"),
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
                retrying(|| blob_to_file(transport, scope, (digest, *size), &path, counter))
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

/// Config and layers, each once.
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

async fn open(transport: &Transport, scope: &Scope, digest: &Digest) -> Result<Response, Failure> {
    let call = Call::new(
        Method::GET,
        api_path(&scope.repository, &format!("blobs/{digest}")),
        scope.clone(),
        format!("reading `{}`", scope.repository),
    );
    let response = transport.send(&call).await?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::NOT_FOUND => Err(RegistryError::NotFound {
            reference: format!("{}/{}@{digest}", transport.registry(), scope.repository),
        }
        .into()),
        _ => Err(transport.rejection(&call, response).await),
    }
}

async fn blob_to_file(
    transport: &Transport,
    scope: &Scope,
    (digest, size): (&Digest, u64),
    path: &Path,
    counter: &AtomicU64,
) -> Result<(), Failure> {
    let failed = |source| ClientError::Write {
        path: path.to_owned(),
        source,
    };
    counter.store(0, Ordering::Relaxed);
    let mut response = open(transport, scope, digest).await?;
    let (file, unfinished) = write::beside(path).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut hashing = Hashing::like(digest);
    let mut left = size;
    while let Some(piece) = transport.wire().piece(&mut response).await? {
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| {
            let operation = format!("reading `{}`", scope.repository);
            let answer =
                format!("`{digest}` has more than the {size} bytes that its manifest says");
            transport.nonsense(&operation, answer)
        })?;
        hashing.update(&piece);
        file.write_all(&piece).await.map_err(failed)?;
        counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    file.flush().await.map_err(failed)?;
    let received = hashing.finish();
    if received != *digest {
        let what = format!("`{digest}` of `{}`", scope.repository);
        return Err(corrupt(what, digest, received));
    }
    unfinished
        .persist(path)
        .map_err(|error| failed(error.error))?;
    Ok(())
}

/// Bytes that were garbled or cut on the way are worth another try.
fn corrupt(what: String, expected: &Digest, received: Digest) -> Failure {
    Failure::transient(ClientError::Corrupt {
        what,
        expected: expected.clone(),
        received,
    })
}
