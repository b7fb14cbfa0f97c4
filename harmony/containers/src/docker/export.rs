//! Exports an image from the daemon as an OCI layout.
//!
//! `docker save` writes a tar archive: an OCI layout with compressed or uncompressed layers since Docker 25, and
//! Docker's own format before. Both contain a `manifest.json` with the configuration and the layers, which is all that
//! is read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bollard::Docker;
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_core::image::BuiltImage;
use harmony_oci::layer::ENCODER;
use harmony_oci::spec::ImageConfiguration;
use harmony_oci::{Documents, Image, LayerBlob};
use harmony_types::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::cache::{BuildRecord, Cache, Record, touch};
use crate::docker::connection::Endpoint;
use crate::fingerprint::Fingerprint;
use crate::native::assemble::{built, keep_blob, store_image};
use crate::native::layer::{compress, unwritable};

/// The prefix of labels that become annotations of the manifest.
const ANNOTATIONS: &str = "org.opencontainers.image.";

const BUFFER: usize = 256 * 1024;

/// The image `name` in the daemon, as a layout in the cache.
pub(super) async fn to_oci_layout(
    context: &Context,
    cache: &Cache,
    endpoint: &Endpoint,
    docker: &Docker,
    name: &str,
) -> Result<BuiltImage, BuildError> {
    let doing = || format!("exporting {name}");
    let failed = |error: bollard::errors::Error| {
        endpoint.failed(
            doing(),
            "check that the daemon is still running and has the image (`docker image ls`), then run the same \
             command again",
            error.into(),
        )
    };
    let inspected = context
        .unless_cancelled(docker.inspect_image(name))
        .await?
        .map_err(failed)?;
    let id = inspected.id.unwrap_or_default();
    let key = export_key(&id);
    if let Some(record) = cache.read::<BuildRecord>(Record::Build, &key)
        && let Some(image) = intact(context, cache.image(&record.digest)).await?
    {
        touch(image.layout().path());
        return Ok(built(&image));
    }
    let staging = cache.staging();
    let unwritable = |source: io::Error| BuildError::Write {
        path: staging.clone(),
        source,
    };
    let archive = tempfile::Builder::new()
        .prefix("docker-")
        .tempfile_in(&staging)
        .map_err(unwritable)?;
    let mut out = tokio::fs::File::from_std(archive.reopen().map_err(unwritable)?);
    let mut stream = std::pin::pin!(docker.export_image(name));
    while let Some(chunk) = context.unless_cancelled(stream.next()).await? {
        out.write_all(&chunk.map_err(failed)?)
            .await
            .map_err(unwritable)?;
    }
    out.flush().await.map_err(unwritable)?;
    drop(out);
    let unusable = {
        let (endpoint, doing) = (endpoint.clone(), doing());
        move |error: io::Error| {
            endpoint.failed(
                doing.clone(),
                "report this as a bug, with the Docker version and the way the image was built",
                error.into(),
            )
        }
    };
    let cache = cache.clone();
    blocking(context, move |cancel| {
        let mut saved =
            SavedImage::open(archive.reopen().map_err(&unusable)?).map_err(&unusable)?;
        let image = saved.store(&cache, cancel, &unusable)?;
        let digest = image.digest.clone();
        cache.write(Record::Build, &key, &BuildRecord { digest })?;
        Ok(image)
    })
    .await
}

/// The image in a cache directory, unless it is missing or damaged.
async fn intact(context: &Context, path: PathBuf) -> Result<Option<Image>, BuildError> {
    blocking(context, move |_| {
        let image = Image::open(path).ok();
        Ok(image.filter(|image| image.verify().is_ok()))
    })
    .await
}

/// The id of an image is the hash of its configuration, and so of its content. The compression of layers is ours.
fn export_key(id: &str) -> Digest {
    let mut key = Fingerprint::default();
    key.add("docker export").add(ENCODER).add(id);
    key.digest()
}

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedManifest {
    config: String,
    #[serde(default)]
    layers: Vec<String>,
}

/// The output of `docker save`, and where each file starts in it.
#[derive(Debug)]
struct SavedImage {
    archive: File,
    files: BTreeMap<String, (u64, u64)>,
    manifest: SavedManifest,
}

impl SavedImage {
    fn open(archive: File) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut links = Vec::new();
        let mut reader = tar::Archive::new(&archive);
        for entry in reader.entries_with_seek()? {
            let entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match entry.link_name()? {
                // For a layer that is already in the archive, Docker writes a link relative to its directory.
                Some(target) => links.push((name, target.into_owned())),
                None => {
                    files.insert(name, (entry.raw_file_position(), entry.size()));
                }
            }
        }
        for (name, target) in links {
            let folder = Path::new(&name).parent().unwrap_or(Path::new(""));
            let target = normal(&folder.join(target));
            if let Some(place) = files.get(&target).copied() {
                files.insert(name, place);
            }
        }
        let mut saved = Self {
            archive,
            files,
            manifest: SavedManifest {
                config: String::new(),
                layers: Vec::new(),
            },
        };
        let manifests: Vec<SavedManifest> =
            serde_json::from_slice(&saved.content("manifest.json")?)?;
        let count = manifests.len();
        let [manifest] = <[SavedManifest; 1]>::try_from(manifests).map_err(|_| {
            io::Error::other(format!("Docker exported {count} images instead of one"))
        })?;
        saved.manifest = manifest;
        Ok(saved)
    }

    fn store(
        &mut self,
        cache: &Cache,
        cancel: &CancellationToken,
        unusable: &dyn Fn(io::Error) -> BuildError,
    ) -> Result<BuiltImage, BuildError> {
        let config = self
            .content(&self.manifest.config.clone())
            .map_err(unusable)?;
        let parsed: ImageConfiguration =
            serde_json::from_slice(&config).map_err(|error| unusable(error.into()))?;
        let names = self.manifest.layers.clone();
        let diff_ids = parsed.rootfs().diff_ids();
        let mut layers = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let layer = keep_blob(cache, |out, path| {
                let is_gzip = self.is_gzip(name).map_err(unusable)?;
                let mut layer = self.file(name).map_err(unusable)?;
                if is_gzip {
                    copy_compressed(&mut layer, out, path, cancel, unusable)
                } else {
                    compress(out, path, |tar| {
                        pump(&mut layer, cancel, unusable, |chunk| {
                            tar.write_all(chunk).map_err(unwritable(path))
                        })
                    })
                }
            })?;
            if diff_ids.get(index).map(String::as_str) != Some(layer.diff_id.as_str()) {
                return Err(unusable(io::Error::other(format!(
                    "layer {index} does not match the image configuration"
                ))));
            }
            layers.push(layer);
        }
        let annotations: HashMap<String, String> = parsed
            .labels_of_config()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.starts_with(ANNOTATIONS))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let platform = (parsed.os().clone(), parsed.architecture().clone());
        let documents = Documents::new(config, &layers, platform, annotations).map_err(unusable)?;
        store_image(&documents, &layers, cache)
    }

    fn is_gzip(&mut self, name: &str) -> io::Result<bool> {
        let mut begin = Vec::new();
        self.file(name)?.take(2).read_to_end(&mut begin)?;
        Ok(begin == [0x1f, 0x8b]) // RFC 1952, section 2.3.1
    }

    fn content(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file(name)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn file(&mut self, name: &str) -> io::Result<io::Take<&mut File>> {
        let (begin, size) = *self.files.get(name).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("the export contains no `{name}`"),
            )
        })?;
        self.archive.seek(SeekFrom::Start(begin))?;
        Ok(Read::by_ref(&mut self.archive).take(size))
    }
}

/// Copies a layer that is already compressed.
fn copy_compressed(
    layer: &mut dyn Read,
    out: &mut File,
    path: &Path,
    cancel: &CancellationToken,
    unusable: &dyn Fn(io::Error) -> BuildError,
) -> Result<LayerBlob, BuildError> {
    let mut digest = Sha256::new();
    let mut size = 0;
    pump(layer, cancel, unusable, |chunk| {
        digest.update(chunk);
        size += chunk.len() as u64;
        out.write_all(chunk).map_err(unwritable(path))
    })?;
    out.seek(SeekFrom::Start(0)).map_err(unwritable(path))?;
    let mut plain = Sha256::new();
    pump(&mut MultiGzDecoder::new(&*out), cancel, unusable, |chunk| {
        plain.update(chunk);
        Ok(())
    })?;
    Ok(LayerBlob {
        diff_id: Digest::sha256_from_bytes(plain.finalize().into()),
        digest: Digest::sha256_from_bytes(digest.finalize().into()),
        size,
    })
}

fn pump(
    from: &mut dyn Read,
    cancel: &CancellationToken,
    unusable: &dyn Fn(io::Error) -> BuildError,
    mut to: impl FnMut(&[u8]) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        if cancel.is_cancelled() {
            return Err(harmony_core::context::Cancelled.into());
        }
        match from.read(&mut buffer).map_err(unusable)? {
            0 => return Ok(()),
            read => to(&buffer[..read])?,
        }
    }
}

/// `a/b/../c` -> `a/c`
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "/" => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}
