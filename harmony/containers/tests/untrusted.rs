//! Inputs that are not what they seem: environments with secrets, pipes for files, programs that cannot start.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harmony_containers::{NativeBuilder, Prebuilt, Runtime, RustBinary};
use harmony_core::Context;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::image::{BuildContext, Buildable, Built, FileEntry, FileSource, ImageSource};
use harmony_core::inventory::Platform;
use harmony_types::ImageRef;

/// Set in the copy of this test that has the secrets.
const IN_CHILD: &str = "HARMONY_TEST_PACKAGE";

async fn build(root: &Path, buildable: impl Buildable + 'static) -> Result<Built, BuildError> {
    let context = BuildContext {
        project_root: root.to_owned(),
        source: ImageSource::Buildable(Arc::new(buildable)),
        platform: Platform::current(),
        created: 1_700_000_000,
        labels: BTreeMap::new(),
    };
    let image = ImageRef::parse("registry.test/app:1.0.0").unwrap();
    let building = NativeBuilder::new(Context::new(), root.join("cache"));
    tokio::time::timeout(Duration::from_secs(120), building.build(&context, &image))
        .await
        .expect("the build ends")
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_script_does_not_see_our_secrets() {
    const NAME: &str = "a_build_script_does_not_see_our_secrets";
    if let Some(root) = std::env::var_os(IN_CHILD) {
        build(Path::new(&root), RustBinary::new("curious"))
            .await
            .map(drop)
            .unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("src")).unwrap();
    fs::write(root.join("src/main.rs"), "fn main() {}\n").unwrap();
    fs::write(
        root.join("Cargo.toml"),
        "[package]\nname = \"curious\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    fs::write(
        root.join("Cargo.lock"),
        "version = 4\n\n[[package]]\nname = \"curious\"\nversion = \"0.1.0\"\n",
    )
    .unwrap();
    let seen = root.join("seen");
    fs::write(
        root.join("build.rs"),
        format!(
            "fn main() {{ let all: Vec<String> = std::env::vars().map(|(n, v)| format!(\"{{n}}={{v}}\")).collect(); \
             std::fs::write({seen:?}, all.join(\"\\n\")).unwrap(); }}\n"
        ),
    )
    .unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(IN_CHILD, root)
        .env("HARMONY_REGISTRY_PASSWORD", "hunter2")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("CARGO_REGISTRY_TOKEN", "hunter2")
        .env("RUSTFLAGS", "--cfg other_program")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
    assert!(!seen.contains("other_program"), "{seen}");
    assert!(seen.contains("OPT_LEVEL=3"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_where_a_program_or_an_asset_should_be_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    pipe(&fifo);
    let program = build(folder.path(), Prebuilt::new(&fifo)).await;
    assert!(matches!(&program, Err(BuildError::File { path, .. }) if *path == fifo));
    let asset = Runtime {
        files: vec![FileEntry {
            path: "/srv/asset".into(),
            source: FileSource::Host(fifo.clone()),
            mode: 0o644,
        }],
        ..Runtime::default()
    };
    let program = static_program(folder.path());
    let asset = build(folder.path(), Prebuilt::new(program).with_runtime(asset)).await;
    assert!(matches!(&asset, Err(BuildError::File { path, .. }) if *path == fifo));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_start_in_an_empty_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let dynamic = std::env::current_exe().unwrap();
    let script = write("script", b"#!/bin/sh\necho\n");
    let env = write("env", b"#! /usr/bin/env python3\n");
    let text = write("text", b"echo no interpreter\n");
    let empty = write("empty", b"");
    for (program, word) in [
        (dynamic, "/lib"),
        (script, "/bin/sh"),
        (env, "/usr/bin/env"),
        (text, "text"),
        (empty, "empty"),
    ] {
        let error = build(folder.path(), Prebuilt::new(&program))
            .await
            .map(drop)
            .expect_err(word)
            .to_string();
        assert!(error.contains(word), "{error}");
    }
    build(folder.path(), Prebuilt::new(static_program(folder.path())))
        .await
        .unwrap();
}

/// A program without a loader.
fn static_program(folder: &Path) -> PathBuf {
    let (source, program) = (folder.join("static.rs"), folder.join("static"));
    fs::write(&source, "fn main() {}\n").unwrap();
    let compiled = Command::new("rustc")
        .args(["-Ctarget-feature=+crt-static", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    program
}
