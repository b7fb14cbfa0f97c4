//! An image as one file: what containerd, podman and docker import.
//!
//! The archive is a tar of the [OCI layout](crate::layout) whose index gives the image its name. It also has docker's
//! `manifest.json`, for engines before 25, which know no OCI layout; the others pass over it.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use harmony_core::capability::container_builder::BuildError;
use harmony_types::ImageRef;
use oci_spec::image::{Descriptor, ImageIndexBuilder, MediaType, SCHEMA_VERSION};
use serde::Serialize;

use crate::layout::{LayoutError, OciLayout, canonical_json};

/// The annotation by which containerd names an image that it imports.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The annotation of the image specification for the name within a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Writes the image in the layout directory `layout` as an archive, under the name `image`.
///
/// The image is named in up to two ways: `name:tag` where `image` has a tag, and `name@sha256:...` always, so that a
/// pod that refers to the digest finds what was imported. The same layout and name give the same bytes.
///
/// # Errors
/// [`BuildError::File`] when the layout is not complete, [`BuildError::Write`] when `out` does not take it all.
pub fn write(layout: &Path, image: &ImageRef, out: &mut dyn Write) -> Result<(), BuildError> {
    let unreadable = |source: io::Error| BuildError::File {
        path: layout.to_owned(),
        source,
    };
    let unwritable = |source: io::Error| BuildError::Write {
        path: layout.with_extension("tar"),
        source,
    };
    let layout = OciLayout::open(layout).map_err(|error| unreadable(into_io(error)))?;
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(named_descriptors(&layout, image))
        .build()
        .map_err(|error| unreadable(io::Error::other(error)))?;
    let index = canonical_json(&index).map_err(unreadable)?;
    let docker = canonical_json(&[DockerManifest::new(&layout, image)]).map_err(unreadable)?;
    let version = fs::read(layout.directory().join("oci-layout")).map_err(unreadable)?;

    let mut archive = tar::Builder::new(out);
    append(&mut archive, "oci-layout", &*version, version.len() as u64).map_err(unwritable)?;
    append(&mut archive, "index.json", &*index, index.len() as u64).map_err(unwritable)?;
    append(&mut archive, "manifest.json", &*docker, docker.len() as u64).map_err(unwritable)?;
    for blob in layout.blobs() {
        let content = fs::File::open(layout.blob(blob)).map_err(unreadable)?;
        append(
            &mut archive,
            &blob_name(blob),
            content.take(blob.size()),
            blob.size(),
        )
        .map_err(unwritable)?;
    }
    archive.finish().map_err(unwritable)
}

/// The manifest once per name.
fn named_descriptors(layout: &OciLayout, image: &ImageRef) -> Vec<Descriptor> {
    let by_digest = format!("{}@{}", image.name(), layout.descriptor().digest());
    let by_tag = image
        .tag()
        .map(|tag| (format!("{}:{tag}", image.name()), tag.to_string()));
    by_tag
        .into_iter()
        .chain([(by_digest, layout.descriptor().digest().to_string())])
        .map(|(name, reference)| {
            let mut descriptor = layout.descriptor().clone();
            let mut annotations = descriptor.annotations().clone().unwrap_or_default();
            annotations.insert(CONTAINERD_NAME.to_owned(), name);
            annotations.insert(REF_NAME.to_owned(), reference);
            descriptor.set_annotations(Some(annotations));
            descriptor
        })
        .collect()
}

/// An entry of docker's `manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl DockerManifest {
    fn new(layout: &OciLayout, image: &ImageRef) -> Self {
        Self {
            config: blob_name(layout.manifest().config()),
            repo_tags: image
                .tag()
                .map(|tag| format!("{}:{tag}", image.name()))
                .into_iter()
                .collect(),
            layers: layout.manifest().layers().iter().map(blob_name).collect(),
        }
    }
}

fn blob_name(blob: &Descriptor) -> String {
    format!("blobs/sha256/{}", blob.digest().digest())
}

fn append(
    archive: &mut tar::Builder<&mut dyn Write>,
    name: &str,
    content: impl Read,
    size: u64,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    archive.append(&header, content)
}

fn into_io(error: LayoutError) -> io::Error {
    let kind = match &error {
        LayoutError::Read { source, .. } => source.kind(),
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}
