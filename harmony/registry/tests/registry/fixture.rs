//! Images and charts small enough to write by hand, and clients for them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use harmony_core::Context;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::chart::PackagedChart;
use harmony_core::image::{Built, BuiltImage, ImageLocation};
use harmony_registry::testing::RegistryPeer;
use harmony_registry::{OciRegistryClient, RegistrySettings};
use harmony_types::{ChartRef, Digest, ImageRef, Version};
use serde_json::json;
use tempfile::TempDir;

/// The start of 2026, as the time of a commit.
pub(crate) const CREATED: i64 = 1_767_225_600;

pub(crate) async fn peer() -> RegistryPeer {
    RegistryPeer::start()
        .await
        .expect("a registry to test with")
}

pub(crate) fn client(peer: &RegistryPeer) -> OciRegistryClient {
    client_in(Context::new(), peer, peer.settings())
}

pub(crate) fn client_in(
    context: Context,
    peer: &RegistryPeer,
    settings: RegistrySettings,
) -> OciRegistryClient {
    let location = RegistryLocation::new(peer.host().clone(), None).expect("a location");
    OciRegistryClient::new(context, location, settings).expect("a client")
}

pub(crate) fn image_ref(peer: &RegistryPeer, rest: &str) -> ImageRef {
    ImageRef::parse(format!("{}/{rest}", peer.host())).expect("an image reference")
}

pub(crate) fn chart_ref(peer: &RegistryPeer, rest: &str) -> ChartRef {
    ChartRef::parse(format!("oci://{}/{rest}", peer.host())).expect("a chart reference")
}

/// An image in an OCI layout directory.
pub(crate) struct Image {
    pub(crate) folder: TempDir,
    pub(crate) digest: Digest,
}

impl Image {
    /// One file in one layer.
    pub(crate) fn small(content: &str) -> Self {
        Self::new(&[layer(content.as_bytes())], None)
    }

    pub(crate) fn new(layers: &[Vec<u8>], base: Option<&str>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Entrypoint": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
        .to_string();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": layers
                .iter()
                .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer))
                .collect::<Vec<_>>(),
        });
        if let Some(base) = base {
            manifest["annotations"] = json!({"org.opencontainers.image.base.name": base});
        }
        let manifest = manifest.to_string();
        for blob in layers
            .iter()
            .map(Vec::as_slice)
            .chain([config.as_bytes(), manifest.as_bytes()])
        {
            write_blob(folder.path(), blob);
        }
        let index = json!({
            "schemaVersion": 2,
            "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes())],
        });
        fs::write(
            folder.path().join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("a file");
        fs::write(folder.path().join("index.json"), index.to_string()).expect("a file");
        Self {
            digest: digest(manifest.as_bytes()),
            folder,
        }
    }

    pub(crate) fn built(&self) -> Built {
        built(&self.digest, self.folder.path())
    }

    /// The same layout as a tar archive beside the directory.
    pub(crate) fn archive(&self) -> PathBuf {
        let path = self.folder.path().with_extension("tar");
        let mut archive = tar::Builder::new(fs::File::create(&path).expect("a file"));
        archive
            .append_dir_all(".", self.folder.path())
            .and_then(|()| archive.finish())
            .expect("an archive");
        path
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join("blobs/sha256").join(digest.hex())
    }
}

pub(crate) fn built(digest: &Digest, layout: &Path) -> Built {
    Built::Image(BuiltImage {
        digest: digest.clone(),
        location: ImageLocation::OciLayout(layout.to_owned()),
        size: 0,
    })
}

/// A layer with one file.
pub(crate) fn layer(content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "app", content);
    archive.into_inner().expect("an archive")
}

/// A layer of this many bytes that does not compress or repeat.
pub(crate) fn large_layer(bytes: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(bytes);
    content
}

/// A chart that Helm can read and render.
pub(crate) fn chart(name: &str, version: &str, greeting: &str) -> PackagedChart {
    let yaml = format!(
        "apiVersion: v2\nname: {name}\nversion: {version}\ndescription: A chart of a test\ntype: application\n"
    );
    let template = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{{{ .Release.Name }}}}\ndata:\n  greeting: {greeting}\n"
    );
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::default(),
    ));
    append(&mut archive, &format!("{name}/Chart.yaml"), yaml.as_bytes());
    append(
        &mut archive,
        &format!("{name}/templates/greeting.yaml"),
        template.as_bytes(),
    );
    let archive = archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .expect("an archive");
    PackagedChart {
        name: name.parse().expect("a name"),
        version: Version::parse(version).expect("a version"),
        metadata: json!({
            "apiVersion": "v2", "name": name, "version": version,
            "description": "A chart of a test", "type": "application",
        }),
        archive_digest: digest(&archive),
        archive: archive.into(),
        created: CREATED,
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    harmony_oci::sha256(bytes)
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive
        .append_data(&mut header, name, content)
        .expect("an entry");
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn write_blob(layout: &Path, bytes: &[u8]) {
    let folder = layout.join("blobs/sha256");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(digest(bytes).hex()), bytes).expect("a blob");
}
