//! A registry with impossible content. A small server answers, because no real registry would store such content.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use harmony_core::Context;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::inventory::Platform;
use harmony_oci::contents::media;
use harmony_oci::sha256;
use harmony_registry::{Environment, OciRegistryClient, RegistrySettings};
use harmony_types::{ImageRef, RegistryHost};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A blob without an end.
const ENDLESS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
const LARGEST: u64 = i64::MAX as u64;

type Content = Arc<BTreeMap<String, Vec<u8>>>;

async fn answer(State(content): State<Content>, uri: Uri) -> Response {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    if name == ENDLESS {
        let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 64 * 1024]));
        return Body::from_stream(pieces).into_response();
    }
    match content.get(name) {
        Some(bytes) => ([(header::CONTENT_TYPE, media::MANIFEST)], bytes.clone()).into_response(),
        None if uri.path() == "/v2/" => StatusCode::OK.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Pulls an image with these layers; returns the number of bytes left in the directory.
async fn pull(layers: Value) -> (String, u64) {
    let config = b"{}".to_vec();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": {"mediaType": "c", "digest": sha256(&config), "size": config.len()},
        "layers": layers,
    });
    let content: Content = Arc::new(BTreeMap::from([
        (sha256(&config).to_string(), config),
        ("1".to_owned(), manifest.to_string().into_bytes()),
    ]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let host = RegistryHost::parse(listener.local_addr().expect("an address").to_string())
        .expect("a host");
    let router = Router::new().fallback(answer).with_state(content);
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let location = RegistryLocation::new(host.clone(), None).expect("a location");
    let settings = RegistrySettings::new(Environment::default());
    let client = OciRegistryClient::new(Context::new(), location, settings).expect("a client");
    let image = ImageRef::parse(format!("{host}/team/app:1")).expect("a reference");
    let folder = TempDir::new().expect("a folder");
    let platform = Platform::current();
    let pulled = client.pull_image(&image, &platform, folder.path());
    let pulled = tokio::time::timeout(std::time::Duration::from_secs(60), pulled).await;
    server.abort();
    let error = pulled
        .expect("the pull ends")
        .expect_err("what is not an image");
    let answer = match error {
        RegistryError::Answer { answer, .. } => answer,
        other => other.to_string(),
    };
    (answer, walk(folder.path()))
}

fn walk(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            let meta = entry.as_ref().expect("an entry").metadata();
            match meta.expect("its data") {
                meta if meta.is_dir() => walk(&entry.expect("an entry").path()),
                meta => meta.len(),
            }
        })
        .sum()
}

fn layer(digest: &str, size: u64) -> Value {
    json!({"mediaType": "l", "digest": digest, "size": size})
}

#[tokio::test]
async fn sizes_that_overflow_are_refused_before_anything_is_read() {
    let digests = ["a", "b", "c"].map(|name| sha256(name.as_bytes()).to_string());
    let layers: Vec<_> = digests
        .iter()
        .map(|digest| layer(digest, LARGEST))
        .collect();
    let (answer, left) = pull(layers.into()).await;
    assert_eq!(answer, "the sum of its sizes is too large");
    assert_eq!(left, 0);
    // A layer that occurs several times is sent once, and is counted each time.
    let same = layer(&digests[0], LARGEST);
    let (answer, _) = pull(json!([same, same, same])).await;
    assert_eq!(answer, "the sum of its sizes is too large");
}

#[tokio::test]
async fn a_blob_that_does_not_end_is_read_up_to_its_size() {
    let (answer, left) = pull(json!([layer(ENDLESS, 1_000_000)])).await;
    assert_eq!(
        answer,
        format!("`{ENDLESS}` has more than the 1000000 bytes in its manifest")
    );
    assert!(left < 1000, "{left} bytes are left");
}
