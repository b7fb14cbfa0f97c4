//! `kill -9` in the middle, of the registry and of the pusher; and the cost of a large push.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_registry::testing::RegistryPeer;
use harmony_types::{Digest, ImageRef};
use reqwest::Method;
use tokio::process::Command;

use crate::fixture::{self, Image};
use crate::proxy::{Fault, FaultProxy, Rule, open_peer};

/// The pusher in its own process, with only the environment that a test sets.
pub(crate) fn pusher(layout: &Path, digest: &Digest, to: &ImageRef) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-push"));
    command
        .arg(layout)
        .args([digest.as_str(), &to.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The path of the first upload with at least this many bytes.
async fn upload_of(peer: &RegistryPeer, bytes: u64) -> bool {
    let uploads = peer.storage();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        if largest_upload(&uploads) >= bytes {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}

fn largest_upload(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            largest_upload(&path)
        } else if path.ends_with("data") && path.iter().any(|part| part == "_uploads") {
            entry.metadata().map_or(0, |data| data.len())
        } else {
            0
        }
    });
    sizes.max().unwrap_or(0)
}

#[tokio::test]
async fn a_killed_pusher_leaves_nothing_visible_and_the_next_one_finishes() {
    let peer = open_peer().await;
    let image = Image::new(&[fixture::layer(b"a"), fixture::layer(b"b")], None);
    for (number, (method, path)) in [
        (Method::PUT, "/blobs/uploads/"),
        (Method::PUT, "/manifests/sha256:"),
        (Method::PUT, "/manifests/0.1.0"),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = Rule {
            method,
            path,
            times: 1,
            fault: Fault::Hang,
        };
        let proxy = FaultProxy::start(&peer, vec![rule]).await;
        let to = proxy.image(&format!("killed/pusher-{number}:0.1.0"));
        let mut process = pusher(image.folder.path(), &image.digest, &to)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a pusher");
        proxy.hung().await;
        process.kill().await.expect("SIGKILL");
        let client = proxy.client(Context::new());
        assert_eq!(
            client.resolve_image(&to).await.expect("an answer"),
            None,
            "{path}"
        );
        let output = pusher(image.folder.path(), &image.digest, &to)
            .output()
            .await
            .expect("a pusher");
        assert!(output.status.success(), "{path}: {output:?}");
        let found = client.resolve_image(&to).await.expect("an answer");
        assert_eq!(found.as_ref(), Some(&image.digest), "{path}");
    }
}

#[tokio::test]
async fn a_killed_registry_is_unreachable_and_the_next_run_finishes() {
    let mut peer = fixture::peer().await;
    let image = Image::new(
        &[fixture::large_layer(200_000_000), fixture::layer(b"small")],
        None,
    );
    let to = fixture::image_ref(&peer, "killed/registry:0.1.0");
    let client = fixture::client(&peer);
    let built = image.built();
    let pushing = {
        let (built, to) = (built.clone(), to.clone());
        tokio::spawn(async move { client.push_image(&built, &to).await })
    };
    assert!(upload_of(&peer, 1_000_000).await, "no upload began");
    peer.kill();
    let began = Instant::now();
    let error = pushing.await.expect("a task").expect_err("no registry");
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );

    peer.restart().await.expect("the registry again");
    let client = fixture::client(&peer);
    assert_eq!(client.resolve_image(&to).await.expect("an answer"), None);
    client.push_image(&built, &to).await.expect("a push");
    assert_eq!(
        client.resolve_image(&to).await.expect("an answer"),
        Some(image.digest)
    );
}

#[tokio::test]
async fn a_large_image_is_streamed() {
    const LIMIT_KB: u64 = 64 * 1024;
    let peer = fixture::peer().await;
    let image = Image::new(&[fixture::large_layer(100_000_000)], None);
    let to = fixture::image_ref(&peer, "large/image:0.1.0");
    let began = Instant::now();
    let output = pusher(image.folder.path(), &image.digest, &to)
        .env("HARMONY_REGISTRY_USER", RegistryPeer::USER)
        .env("HARMONY_REGISTRY_PASSWORD", RegistryPeer::PASSWORD)
        .env("HARMONY_REGISTRY_CA", peer.ca_file())
        .output()
        .await
        .expect("a pusher");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    let last = printed.lines().last().expect("a line");
    let peak: u64 = last
        .trim_end_matches("kB")
        .trim()
        .parse()
        .expect("a number of kB");
    println!("100 MB in {:?}, peak memory {peak} kB", began.elapsed());
    assert!(peak < LIMIT_KB, "{peak} kB");
}
