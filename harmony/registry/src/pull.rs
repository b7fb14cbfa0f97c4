//! Reading images and charts, every byte checked against its digest.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::event::Step;
use harmony_core::image::{BuiltImage, ImageLocation};
use harmony_core::inventory::Platform;
use harmony_types::Digest;
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OciDescriptor, OciImageIndex,
    OciImageManifest,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::artifact::Manifest;
use crate::auth::Scope;
use crate::error::ClientError;
use crate::hashing::{self, Hashing};
use crate::layout::{self, Kind};
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
        let received = hashing::digest_like(digest, &bytes);
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
    let kind: Kind = serde_json::from_slice(&top.bytes).map_err(unreadable)?;
    let media_type = kind.media_type(
        Some(&top.media_type)
            .filter(|text| !text.is_empty())
            .map(String::as_str),
    );
    if ![OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE].contains(&media_type.as_str())
    {
        return Ok(Manifest { media_type, ..top });
    }
    let index: OciImageIndex = serde_json::from_slice(&top.bytes).map_err(unreadable)?;
    let platforms = index.manifests.iter().map(|entry| {
        let named = entry.platform.as_ref();
        named.map(|platform| format!("{}/{}", platform.os, platform.architecture))
    });
    let available: Vec<Option<String>> = platforms.collect();
    let wanted = platform.to_string();
    let fitting = available
        .iter()
        .position(|platform| platform.as_deref() == Some(wanted.as_str()))
        .map(|at| &index.manifests[at]);
    let Some(fitting) = fitting else {
        return Err(ClientError::NoPlatform {
            reference: reference.to_owned(),
            platform: wanted,
            available: available.into_iter().flatten().collect(),
        }
        .into());
    };
    let found = manifest(transport, scope, &fitting.digest, reference).await?;
    Ok(Manifest {
        media_type: fitting.media_type.clone(),
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
    let image: OciImageManifest = serde_json::from_slice(&manifest.bytes).map_err(|error| {
        transport.nonsense(
            &format!("reading `{}@{}`", scope.repository, manifest.digest),
            format!("its manifest cannot be understood: {error}"),
        )
    })?;
    let wanted = wanted(&image)
        .map_err(|reason| transport.nonsense(&format!("reading `{}`", scope.repository), reason))?;
    let counters: Vec<Arc<AtomicU64>> = wanted.iter().map(|_| Arc::default()).collect();
    let total = wanted.iter().map(|(_, size)| size).sum();
    let mut pulls = Vec::new();
    for ((digest, size), counter) in wanted.iter().zip(&counters) {
        let path = directory.join(layout::blob_path(digest));
        pulls.push(async move {
            if !is_whole(&path, digest).await {
                retrying(|| blob_to_file(transport, scope, digest, &path, counter)).await?;
            }
            counter.store(*size, Ordering::Relaxed);
            Ok::<_, RegistryError>(())
        });
    }
    let pulling = stream::iter(pulls)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>();
    push::watched(step, &counters, total, pulling).await?;
    let written = [
        (layout::blob_path(&manifest.digest), manifest.bytes.clone()),
        (
            PathBuf::from("oci-layout"),
            json!({"imageLayoutVersion": "1.0.0"}).to_string().into(),
        ),
        (PathBuf::from("index.json"), index_of(manifest)),
    ];
    for (path, content) in written {
        let path = directory.join(path);
        write(&path, &content)
            .await
            .map_err(|source| ClientError::Write { path, source })?;
    }
    Ok(BuiltImage {
        digest: manifest.digest.clone(),
        location: ImageLocation::OciLayout(directory.to_owned()),
        size: image
            .layers
            .iter()
            .filter_map(|layer| u64::try_from(layer.size).ok())
            .sum(),
    })
}

/// Config and layers, each once.
fn wanted(image: &OciImageManifest) -> Result<Vec<(Digest, u64)>, String> {
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for OciDescriptor { digest, size, .. } in std::iter::once(&image.config).chain(&image.layers) {
        let digest = Digest::parse(digest).map_err(|error| error.to_string())?;
        let size = u64::try_from(*size).map_err(|_| format!("`{digest}` has a size of {size}"))?;
        if seen.insert(digest.clone()) {
            wanted.push((digest, size));
        }
    }
    Ok(wanted)
}

fn index_of(manifest: &Manifest) -> Bytes {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE,
        "manifests": [{
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.bytes.len(),
        }],
    })
    .to_string()
    .into()
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
    digest: &Digest,
    path: &Path,
    counter: &AtomicU64,
) -> Result<(), Failure> {
    let failed = |source| ClientError::Write {
        path: path.to_owned(),
        source,
    };
    counter.store(0, Ordering::Relaxed);
    let mut response = open(transport, scope, digest).await?;
    let (file, unfinished) = beside(path).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut hashing = Hashing::like(digest);
    while let Some(piece) = transport.wire().piece(&mut response).await? {
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

/// A file that takes its name when it is whole, and goes when it never is.
fn beside(path: &Path) -> io::Result<(std::fs::File, tempfile::TempPath)> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    Ok(tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempfile_in(folder)?
        .into_parts())
}

async fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let (file, unfinished) = beside(path)?;
    let mut file = tokio::fs::File::from_std(file);
    file.write_all(content).await?;
    file.flush().await?;
    unfinished.persist(path).map_err(|error| error.error)
}

async fn is_whole(path: &Path, digest: &Digest) -> bool {
    let Ok(mut file) = tokio::fs::File::open(path).await else {
        return false;
    };
    let mut hashing = Hashing::like(digest);
    let mut piece = vec![0; 128 * 1024];
    loop {
        match file.read(&mut piece).await {
            Ok(0) => return hashing.finish() == *digest,
            Ok(length) => hashing.update(&piece[..length]),
            Err(_) => return false,
        }
    }
}

/// Bytes that were garbled or cut on the way are worth another try.
fn corrupt(what: String, expected: &Digest, received: Digest) -> Failure {
    Failure::transient(ClientError::Corrupt {
        what,
        expected: expected.clone(),
        received,
    })
}
