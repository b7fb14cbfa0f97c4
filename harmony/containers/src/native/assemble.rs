//! Writes an image from a plan to disk. Blocking.

use std::fs;
use std::io;
use std::path::Path;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::event::Step;
use harmony_core::image::{BuiltImage, FileSource, ImageLocation};
use harmony_oci::hash::is_intact;
use harmony_oci::layer::ENCODER;
use harmony_oci::{Documents, Image, LayerBlob, LayoutError, NewImage};
use harmony_types::Digest;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Record, touch};
use crate::fingerprint::{Fingerprint, add_place};
use crate::host_file::{FileState, hash_file};
use crate::native::layer::write_layer;
use crate::native::manifest;
use crate::plan::{ImagePlan, PlannedLayer};

/// The modification time of all files in images, in seconds since 1970. It is not the time of the commit, because then
/// layers could not be reused in the next commit, and each release would upload all of them.
const FILE_TIME: u64 = 0;

/// Writes the image unless it exists.
pub(crate) fn assemble(
    plan: &ImagePlan,
    cache: &Cache,
    progress: &Step,
    cancel: &CancellationToken,
) -> Result<BuiltImage, BuildError> {
    let mut layers = Vec::new();
    for layer in &plan.layers {
        layers.push(layer_blob(layer, cache, progress, cancel)?);
    }
    let documents = manifest::documents(plan, &layers).map_err(|source| BuildError::Write {
        path: cache.staging(),
        source,
    })?;
    store_image(&documents, &layers, cache)
}

/// Creates a layout from documents and layers, whose blobs are in the cache.
pub(crate) fn store_image(
    documents: &Documents,
    layers: &[LayerBlob],
    cache: &Cache,
) -> Result<BuiltImage, BuildError> {
    let target = cache.image(&documents.digest);
    let image = NewImage {
        documents,
        layers: layers
            .iter()
            .map(|layer| (layer.digest.clone(), cache.blob(&layer.digest)))
            .collect(),
    }
    .write(&target, &cache.staging())
    .map_err(|error| unwritten(&target, error))?;
    touch(&target);
    Ok(built(&image))
}

fn unwritten(target: &Path, error: LayoutError) -> BuildError {
    let (path, source) = match error {
        LayoutError::Write { path, source } => (path, source),
        other => (target.to_owned(), io::Error::other(other)),
    };
    BuildError::Write { path, source }
}

pub(crate) fn built(image: &Image) -> BuiltImage {
    BuiltImage {
        digest: image.digest().clone(),
        size: image.layers_size(),
        location: ImageLocation::OciLayout(image.layout().path().to_owned()),
    }
}

/// The layer from the cache, or a new one.
fn layer_blob(
    layer: &PlannedLayer,
    cache: &Cache,
    progress: &Step,
    cancel: &CancellationToken,
) -> Result<LayerBlob, BuildError> {
    let (key, states) = content_key(layer, cancel)?;
    if let Some(blob) = cache.read::<LayerBlob>(Record::Layer, &key) {
        let path = cache.blob(&blob.digest);
        if is_intact(&path, &blob.digest) {
            touch(&path);
            return Ok(blob);
        }
    }
    progress.message(format!("compressing {} files", layer.entries.len()));
    let blob = keep_blob(cache, |out, path| {
        write_layer(&layer.entries, &states, FILE_TIME, out, path, cancel)
    })?;
    cache.write(Record::Layer, &key, &blob)?;
    Ok(blob)
}

/// Lets `write` write a blob, and gives it its name when it is complete and synced to disk.
pub(crate) fn keep_blob(
    cache: &Cache,
    write: impl FnOnce(&mut fs::File, &Path) -> Result<LayerBlob, BuildError>,
) -> Result<LayerBlob, BuildError> {
    let staging = cache.staging();
    let unwritable = |source: io::Error| BuildError::Write {
        path: staging.clone(),
        source,
    };
    let mut file = tempfile::Builder::new()
        .prefix("layer-")
        .tempfile_in(&staging)
        .map_err(unwritable)?;
    let path = file.path().to_owned();
    let blob = write(file.as_file_mut(), &path)?;
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist(cache.blob(&blob.digest))
        .map_err(|error| unwritable(error.error))?;
    Ok(blob)
}

/// The key of the layer's bytes: the encoding, and each entry with its content. Reads the host files, and returns their
/// states in the order of the entries.
fn content_key(
    layer: &PlannedLayer,
    cancel: &CancellationToken,
) -> Result<(Digest, Vec<Option<FileState>>), BuildError> {
    let mut key = Fingerprint::default();
    key.add(ENCODER).add(FILE_TIME.to_le_bytes());
    let mut states = Vec::new();
    for entry in &layer.entries {
        add_place(&mut key, entry);
        let mut state = None;
        match &entry.source {
            FileSource::Host(path) => {
                let (hash, found) = hash_file(path, cancel)?;
                key.add("file").add(hash);
                state = Some(found);
            }
            FileSource::Bytes(bytes) => {
                key.add("file").add(Sha256::digest(bytes));
            }
            FileSource::Directory => {
                key.add("directory");
            }
            FileSource::Symlink(target) => {
                key.add("link").add(target);
            }
        }
        states.push(state);
    }
    Ok((key.digest(), states))
}

#[cfg(test)]
mod tests;
