//! The image that test pods run, with the program of `peer_program`. Also used by the tests of `harmony`.

#[path = "peer_program.rs"]
mod peer_program;

use std::path::{Path, PathBuf};

use harmony_core::Context;
use harmony_local::node::LocalNode;
use harmony_types::{Digest, ImageRef};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

/// The image, built and imported into the running local node once.
pub(crate) async fn peer_image() -> &'static ImageRef {
    static IMAGE: OnceCell<ImageRef> = OnceCell::const_new();
    let image = IMAGE.get_or_init(|| async {
        let folder = tempfile::tempdir().unwrap();
        let program = peer_program::compile(folder.path());
        let (layout, digest) = layout(folder.path(), &program);
        let image: ImageRef = format!("registry.test/harmony/peer@{digest}")
            .parse()
            .unwrap();
        LocalNode::default()
            .import_image(&Context::new(), &layout, &image)
            .await
            .unwrap();
        image
    });
    image.await
}

/// An OCI layout of an image with that one file as `/peer`.
fn layout(folder: &Path, program: &Path) -> (PathBuf, String) {
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let store = |content: &[u8], media_type: &str| {
        let digest = Digest::sha256_from_bytes(Sha256::digest(content).into());
        std::fs::write(blobs.join(digest.hex()), content).unwrap();
        json!({
            "mediaType": format!("application/vnd.oci.image.{media_type}"),
            "digest": digest,
            "size": content.len(),
        })
    };
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    let content = std::fs::read(program).unwrap();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "peer", content.as_slice())
        .unwrap();
    let layer = store(&tar.into_inner().unwrap(), "layer.v1.tar");
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/peer"] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = store(config.to_string().as_bytes(), "config.v1+json");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let manifest = store(manifest.to_string().as_bytes(), "manifest.v1+json");
    let digest = manifest["digest"].as_str().unwrap().to_owned();
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    std::fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    (layout, digest)
}
