//! The JSON documents of an image: its manifest, and the descriptor of the manifest.

use std::collections::HashMap;
use std::io;

use harmony_types::Digest;
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, Descriptor, DescriptorBuilder, ImageManifestBuilder, MediaType, Os, PlatformBuilder,
    SCHEMA_VERSION,
};

use crate::hash::sha256;
use crate::json::canonical_json;
use crate::layer::LayerBlob;

/// The documents of an image as bytes, because they are identified by their hashes.
#[derive(Debug, Clone)]
pub struct Documents {
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
    /// The digest of the manifest, which is that of the image.
    pub digest: Digest,
    /// The descriptor of the manifest in an index.
    pub descriptor: Descriptor,
}

impl Documents {
    /// Creates the documents of an image with this configuration and these layers.
    ///
    /// # Errors
    /// A value cannot be represented in the documents.
    pub fn new(
        config: Vec<u8>,
        layers: &[LayerBlob],
        (os, architecture): (Os, Arch),
        annotations: HashMap<String, String>,
    ) -> io::Result<Self> {
        let manifest = manifest(&config, layers, annotations)?;
        let digest = sha256(&manifest);
        let platform = PlatformBuilder::default()
            .os(os)
            .architecture(architecture)
            .build()
            .map_err(invalid)?;
        let descriptor = DescriptorBuilder::default()
            .media_type(MediaType::ImageManifest)
            .digest(spec_digest(&digest)?)
            .size(manifest.len() as u64)
            .platform(platform)
            .build()
            .map_err(invalid)?;
        Ok(Self {
            config,
            manifest,
            digest,
            descriptor,
        })
    }
}

fn manifest(
    config: &[u8],
    layers: &[LayerBlob],
    annotations: HashMap<String, String>,
) -> io::Result<Vec<u8>> {
    let config = Descriptor::new(
        MediaType::ImageConfig,
        config.len() as u64,
        spec_digest(&sha256(config))?,
    );
    let layers = layers
        .iter()
        .map(|layer| {
            Ok(Descriptor::new(
                MediaType::ImageLayerGzip,
                layer.size,
                spec_digest(&layer.digest)?,
            ))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers);
    if !annotations.is_empty() {
        manifest = manifest.annotations(annotations);
    }
    canonical_json(&manifest.build().map_err(invalid)?)
}

pub(crate) fn spec_digest(digest: &Digest) -> io::Result<oci_spec::image::Digest> {
    digest.as_str().parse().map_err(invalid)
}

fn invalid(error: OciSpecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
