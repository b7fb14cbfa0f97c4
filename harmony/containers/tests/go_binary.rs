//! An image of a Go command from the module proxy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use flate2::read::GzDecoder;
use harmony_containers::{GoBinary, NativeBuilder};
use harmony_core::Context;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::image::{BuildContext, Built, ImageLocation, ImageSource};
use harmony_core::inventory::Platform;
use harmony_oci::Image;
use harmony_types::ImageRef;
use walkdir::WalkDir;

const PACKAGE: &str = "github.com/nats-io/nats-server/v2";
const VERSION: &str = "v2.15.2";

#[tokio::test(flavor = "multi_thread")]
async fn nats_server_becomes_an_image_and_go_is_asked_once() {
    let work = tempfile::tempdir().unwrap();
    let first = build(work.path(), VERSION).await.unwrap();
    // Go would write the program anew.
    let compiled = written(work.path(), "nats-server");
    let again = build(work.path(), VERSION).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(compiled, written(work.path(), "nats-server"));

    let Built::Image(image) = first else {
        panic!("nothing was built");
    };
    let ImageLocation::OciLayout(path) = image.location else {
        panic!("the image is not a layout");
    };
    let layout = Image::open(path).unwrap();
    let config = layout.config().unwrap().config().clone().unwrap();
    assert_eq!(
        config.entrypoint().as_deref().unwrap(),
        ["/usr/local/bin/nats-server"]
    );
    let binary = program(&layout, "usr/local/bin/nats-server");
    let program = work.path().join("program");
    fs::write(&program, binary).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let version = Command::new(&program).arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&version.stdout).trim(),
        format!("nats-server: {VERSION}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_exist_is_told_by_go() {
    let work = tempfile::tempdir().unwrap();
    let error = build(work.path(), "v2.0.9999").await.unwrap_err();
    let BuildError::HostStep {
        program, output, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(program, "go");
    assert!(output.join("\n").contains("v2.0.9999"), "{output:?}");
}

async fn build(work: &Path, version: &str) -> Result<Built, BuildError> {
    let context = BuildContext {
        project_root: work.to_owned(),
        source: ImageSource::Buildable(Arc::new(GoBinary::new(
            PACKAGE,
            version,
            work.join("cache"),
        ))),
        platform: Platform::current(),
        created: 1_700_000_000,
        labels: BTreeMap::new(),
    };
    let image = ImageRef::parse("registry.test/nats:1").unwrap();
    NativeBuilder::new(Context::new(), work.join("cache"))
        .build(&context, &image)
        .await
}

/// The inode and the time of the last change of the one file of this name below a folder.
fn written(folder: &Path, name: &str) -> (u64, i64) {
    let entries = WalkDir::new(folder).into_iter().map(Result::unwrap);
    let found: Vec<_> = entries
        .filter(|entry| entry.file_type().is_file() && entry.file_name() == name)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let metadata = found[0].metadata().unwrap();
    (metadata.ino(), metadata.ctime_nsec())
}

fn program(layout: &Image, wanted: &str) -> Vec<u8> {
    let mut content = Vec::new();
    for layer in layout.manifest().layers() {
        let file = layout.blob(layer).unwrap().open().unwrap();
        for entry in tar::Archive::new(GzDecoder::new(file)).entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap() == Path::new(wanted) {
                entry.read_to_end(&mut content).unwrap();
            }
        }
    }
    content
}
