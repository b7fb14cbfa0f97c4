//! A build that is killed at any moment leaves nothing that a later build would use: the next run gives the image that
//! a clean one gives.
//!
//! This file is its own child: with `KILL_TEST_CACHE` set it builds into that cache, else it starts such children and
//! kills them.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test without a harness fails and reports by itself"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use harmony_containers::{NativeBuilder, Prebuilt, Runtime};
use harmony_core::Context;
use harmony_core::capability::container_builder::ContainerBuilder;
use harmony_core::image::{BuildContext, Built, FileEntry, FileSource, ImageLocation, ImageSource};
use harmony_core::inventory::Platform;
use harmony_oci::Image;
use harmony_types::ImageRef;

const CACHE: &str = "KILL_TEST_CACHE";
const PROGRAM: &str = "KILL_TEST_PROGRAM";
/// How many builds are killed before they end.
const KILLS: u32 = 10;
const MOST_ATTEMPTS: u32 = 60;

fn main() {
    match (env::var_os(CACHE), env::var_os(PROGRAM)) {
        (Some(cache), Some(program)) => {
            build(Path::new(&program), Path::new(&cache));
        }
        _ => killed_builds_leave_nothing_that_is_used(),
    }
}

fn killed_builds_leave_nothing_that_is_used() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("app");
    fs::write(&program, [static_program(), noise(24_000_000)].concat())
        .expect("the program is written");

    let begin = Instant::now();
    let (clean, _) = build(&program, &directory.path().join("clean"));
    let mut whole = begin.elapsed();

    let mut kills = 0;
    let mut states = BTreeSet::new();
    for attempt in 0..MOST_ATTEMPTS {
        if kills >= KILLS && states.len() >= 2 {
            break;
        }
        let part = attempt % 12 + 1;
        let cache = directory.path().join(format!("cache-{attempt}"));
        let mut child = Command::new(env::current_exe().expect("this test has a path"))
            .env(CACHE, &cache)
            .env(PROGRAM, &program)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        std::thread::sleep(whole * part / 12);
        child.kill().expect("the child can be killed");
        let finished = child.wait().expect("the child ends").success();
        if !finished {
            kills += 1;
            states.insert(names(&cache));
        }
        // The speed of a busy machine changes: the time of a whole build is corrected by each of them.
        whole = match (finished, part) {
            (true, _) => whole * 3 / 4,
            (false, 10..) => whole * 5 / 4,
            (false, _) => whole,
        };
        for image in list(&cache.join("images")) {
            Image::open(image).expect("what has a name is complete");
        }
        let (again, path) = build(&program, &cache);
        assert_eq!(again, clean, "after a kill at {part}/12 of the time");
        let layout = Image::open(path).expect("the image is complete");
        for blob in layout.blobs() {
            let sum = Command::new("sha256sum")
                .arg(layout.blob(blob).expect("the blob is there").path)
                .output()
                .expect("sha256sum runs");
            let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
            assert!(sum.starts_with(blob.digest().digest()), "{sum}");
        }
        fs::remove_dir_all(&cache).expect("the cache can be removed");
    }
    assert!(
        kills >= KILLS,
        "only {kills} children were killed in the middle"
    );
    assert!(
        states.len() >= 2,
        "all kills came at the same moment: {states:?}"
    );
    println!(
        "{kills} builds were killed, in {} different states",
        states.len()
    );
}

/// Which folders of the cache had something in them.
fn names(cache: &Path) -> Vec<&'static str> {
    ["tmp", "blobs/sha256", "layers", "images"]
        .into_iter()
        .filter(|folder| !list(&cache.join(folder)).is_empty())
        .collect()
}

/// The header of a static program for this processor, which is all that a builder looks at.
fn static_program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 2; // an executable
    header[18] = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    header
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn build(program: &Path, cache: &Path) -> (String, PathBuf) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let asset = FileEntry {
        path: "/srv/asset".into(),
        source: FileSource::Bytes(Arc::from(noise(3_000_000))),
        mode: 0o644,
    };
    let source = Prebuilt::new(program).with_runtime(Runtime {
        files: vec![asset],
        ..Runtime::default()
    });
    let context = BuildContext {
        project_root: PathBuf::from("/"),
        source: ImageSource::Buildable(Arc::new(source)),
        platform: Platform::current(),
        created: 1_700_000_000,
        labels: BTreeMap::new(),
    };
    let image = ImageRef::parse("registry.test/app:1.0.0").expect("the reference is valid");
    let builder = NativeBuilder::new(Context::new(), cache);
    let built = runtime
        .block_on(builder.build(&context, &image))
        .expect("the build works");
    match built {
        Built::Image(image) => match image.location {
            ImageLocation::OciLayout(path) => (image.digest.to_string(), path),
            other => panic!("the image is at {other:?}"),
        },
        Built::Predicted(_) => panic!("nothing was built"),
    }
}

/// Bytes that compress a little, always the same.
fn noise(length: u32) -> Vec<u8> {
    let mut state = 1_u32;
    (0..length)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n % 3 == 0 {
                0
            } else {
                state.to_be_bytes()[0]
            }
        })
        .collect()
}
