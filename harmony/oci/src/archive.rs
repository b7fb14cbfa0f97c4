//! An image as a single file, for import into containerd, podman and Docker.
//!
//! The archive is a tar of the [layout](crate::layout), with the name of the image in its index. It also contains
//! Docker's `manifest.json` for engines before version 25, which do not support the OCI layout; others ignore it.

use std::io::{self, Write};

use harmony_types::ImageRef;
use oci_spec::image::{Descriptor, ImageIndexBuilder, MediaType, SCHEMA_VERSION};
use serde::Serialize;

use crate::documents::Documents;
use crate::entry::{Entry, write_end, write_file, write_head, write_padding};
use crate::error::LayoutError;
use crate::hash::sha256;
use crate::image::Image;
use crate::json::canonical_json;
use crate::layout::{INDEX_FILE, VERSION, VERSION_FILE, blob_path};

/// The annotation with which containerd names an imported image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The annotation of the image specification for the name in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Writes an image as an archive, with the name `name`.
///
/// The image gets up to two names: `name:tag` if `name` has a tag, and always `name@sha256:...`, so that a pod that
/// refers to the digest finds the imported image. The same layout and name give the same bytes.
///
/// # Errors
/// [`LayoutError::Write`] if writing to `out` fails; other errors if the image is damaged.
pub fn write(image: &Image, name: &ImageRef, out: &mut dyn Write) -> Result<(), LayoutError> {
    image.verify()?;
    let unwritable = |source: io::Error| LayoutError::Write {
        path: image.layout().path().with_extension("tar"),
        source,
    };
    let index = index(named_descriptors(image, name)).map_err(unwritable)?;
    let docker = canonical_json(&[DockerManifest::new(image, name)]).map_err(unwritable)?;
    for (name, content) in [
        (VERSION_FILE, VERSION),
        (INDEX_FILE, &index),
        ("manifest.json", &docker),
    ] {
        write_file(out, name, content).map_err(unwritable)?;
    }
    for blob in image.blobs() {
        let place = image.blob(blob)?;
        let mut content = place.open().map_err(|source| LayoutError::Open {
            path: place.path.clone(),
            source,
        })?;
        write_head(out, &Entry::file(&blob_name(blob), place.size)).map_err(unwritable)?;
        if io::copy(&mut content, out).map_err(unwritable)? != place.size {
            return Err(LayoutError::Open {
                path: place.path,
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
        write_padding(out, place.size).map_err(unwritable)?;
    }
    write_end(out).map_err(unwritable)
}

/// Writes a small image with its layers in memory. `reference` is its name in the archive, such as a tag.
///
/// # Errors
/// The errors of `out`.
pub fn write_small(
    documents: &Documents,
    layers: &[&[u8]],
    reference: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut descriptor = documents.descriptor.clone();
    annotate(&mut descriptor, [(REF_NAME, reference)]);
    write_file(out, VERSION_FILE, VERSION)?;
    write_file(out, INDEX_FILE, &index(vec![descriptor])?)?;
    let own: [&[u8]; 2] = [&documents.config, &documents.manifest];
    for blob in own.iter().chain(layers) {
        let name = blob_path(&sha256(blob));
        write_file(out, &name.to_string_lossy(), blob)?;
    }
    write_end(out)
}

pub(crate) fn index(manifests: Vec<Descriptor>) -> io::Result<Vec<u8>> {
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()
        .map_err(io::Error::other)?;
    canonical_json(&index)
}

/// The manifest once per name.
fn named_descriptors(image: &Image, name: &ImageRef) -> Vec<Descriptor> {
    let digest = image.digest();
    let by_digest = (format!("{}@{digest}", name.name()), digest.to_string());
    let by_tag = name
        .tag()
        .map(|tag| (format!("{}:{tag}", name.name()), tag.to_string()));
    by_tag
        .into_iter()
        .chain([by_digest])
        .map(|(name, reference)| {
            let mut descriptor = image.descriptor().clone();
            annotate(
                &mut descriptor,
                [(CONTAINERD_NAME, &*name), (REF_NAME, &*reference)],
            );
            descriptor
        })
        .collect()
}

fn annotate<const N: usize>(descriptor: &mut Descriptor, added: [(&str, &str); N]) {
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.extend(added.map(|(key, value)| (key.to_owned(), value.to_owned())));
    descriptor.set_annotations(Some(annotations));
}

/// An entry in Docker's `manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl DockerManifest {
    fn new(image: &Image, name: &ImageRef) -> Self {
        Self {
            config: blob_name(image.manifest().config()),
            repo_tags: name
                .tag()
                .map(|tag| format!("{}:{tag}", name.name()))
                .into_iter()
                .collect(),
            layers: image.manifest().layers().iter().map(blob_name).collect(),
        }
    }
}

fn blob_name(blob: &Descriptor) -> String {
    let digest = blob.digest();
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}
