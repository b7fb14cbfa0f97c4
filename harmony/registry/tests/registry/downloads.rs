//! Charts of others, from a registry and from a web server with an index.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use harmony_core::Context;
use harmony_core::capability::HelmRegistry;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_registry::{ChartDownloads, Credentials, Environment, RegistrySettings};

use crate::fixture::{self, client, peer};
use crate::scripted::{PASSWORD, Scripted, USER, challenge};

const BASIC: &str = "Basic realm=\"charts\"";
const LIMIT: u64 = 1024;

fn downloads(host: &str, settings: RegistrySettings) -> ChartDownloads {
    let host = host.parse().expect("a host");
    ChartDownloads::new(Context::new(), &host, None, settings).expect("a client")
}

fn with_login() -> RegistrySettings {
    RegistrySettings::new(Environment::default()).with_credentials(Credentials::new(USER, PASSWORD))
}

#[tokio::test]
async fn a_chart_of_a_registry_comes_with_its_digest() {
    let peer = peer().await;
    let chart = fixture::chart("web", "1.2.3", "hello");
    let to = fixture::chart_ref(&peer, "team/web:1.2.3");
    client(&peer).push_chart(&chart, &to).await.expect("a push");
    let repository = "team/web".parse().expect("a repository");
    let tag = |tag: &str| tag.parse().expect("a tag");
    let ours = downloads(peer.host().as_str(), peer.settings());
    let (digest, archive) = ours
        .oci(&repository, &tag("1.2.3"))
        .await
        .expect("the chart");
    assert_eq!(
        (digest, &archive[..]),
        (chart.archive_digest, &chart.archive[..])
    );
    let missing = ours.oci(&repository, &tag("1.2.4")).await;
    assert!(
        matches!(missing, Err(RegistryError::NotFound { .. })),
        "{missing:?}"
    );
    // Our login is not for others.
    let theirs = downloads(peer.host().as_str(), peer.settings().for_others());
    let denied = theirs.oci(&repository, &tag("1.2.3")).await;
    assert!(
        matches!(denied, Err(RegistryError::Denied { .. })),
        "{denied:?}"
    );
}

#[tokio::test]
async fn a_login_is_sent_only_where_it_is_asked_for_and_never_elsewhere() {
    let leaked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&leaked);
    let elsewhere = Scripted::start(move |asked| {
        count.fetch_add(
            usize::from(asked.authorization().is_some()),
            Ordering::Relaxed,
        );
        asked
            .is(Method::GET, "/web.tgz")
            .then(|| "the archive".into_response())
    })
    .await;
    let moved = format!("http://{}/files/web.tgz?signature=s3cret", elsewhere.host);
    let redirect = moved.clone();
    let server = Scripted::start(move |asked| {
        if asked.path == "/v2/" {
            return Some(StatusCode::NOT_FOUND.into_response());
        }
        if !asked.has_password() {
            return Some(challenge(BASIC));
        }
        Some(match asked.path.as_str() {
            "/stable/index.yaml" => "entries: {}".into_response(),
            "/stable/charts/web.tgz" => "an archive".into_response(),
            "/stable/moved.tgz" => {
                (StatusCode::FOUND, [(header::LOCATION, redirect.clone())]).into_response()
            }
            "/stable/large" => "x".repeat(2000).into_response(),
            "/stable/broken" => StatusCode::FORBIDDEN.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        })
    })
    .await;
    let read = downloads(&server.host, with_login());
    let file = async |location: &str| {
        let read = read.file("/stable", location, LIMIT).await;
        read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    assert_eq!(file("index.yaml").await.expect("a file"), "entries: {}");
    assert_eq!(file("charts/web.tgz").await.expect("a file"), "an archive");
    assert_eq!(file("moved.tgz").await.expect("a file"), "the archive");
    assert_eq!(file(&moved).await.expect("a file"), "the archive");
    assert_eq!(
        leaked.load(Ordering::Relaxed),
        0,
        "the login was sent to another server"
    );
    let missing = file("missing").await.expect_err("no file");
    assert_eq!(
        missing.to_string(),
        format!("`http://{}/stable/missing` does not exist", server.host)
    );
    let large = file("large").await.expect_err("too large");
    assert!(
        large.to_string().contains("larger than 1024 bytes"),
        "{large}"
    );
    let denied = file("broken").await.expect_err("denied");
    assert!(matches!(denied, RegistryError::Denied { .. }), "{denied:?}");
    let anonymous = downloads(&server.host, with_login().for_others());
    let denied = anonymous.file("/stable", "index.yaml", LIMIT).await;
    assert!(
        matches!(denied, Err(RegistryError::Denied { .. })),
        "{denied:?}"
    );
}
