//! Registries of several machines: what was just written is known everywhere a moment later. And pages, and parts.

use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harmony_core::capability::{HelmRegistry, ReleaseRecords};
use harmony_core::inventory::Platform;
use harmony_core::outcome::Action;
use harmony_types::{ReleaseUnit, Version};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scripted::{Asked, Scripted, redirect, refuse};

type Late = Box<dyn Fn() -> Response + Send + Sync>;

#[tokio::test]
async fn what_appears_after_a_moment_is_waited_for() {
    let not_yet = |code: &'static str| move || refuse(404, code, "not here yet");
    let cases: [(Method, &str, Late); 5] = [
        (
            Method::PUT,
            "/manifests/sha256:",
            Box::new(not_yet("MANIFEST_BLOB_UNKNOWN")),
        ),
        (
            Method::PUT,
            "/manifests/sha256:",
            Box::new(not_yet("BLOB_UNKNOWN")),
        ),
        (
            Method::PUT,
            "/manifests/1.0.0",
            Box::new(not_yet("MANIFEST_UNKNOWN")),
        ),
        (
            Method::PUT,
            "/blobs/uploads/",
            Box::new(not_yet("BLOB_UPLOAD_UNKNOWN")),
        ),
        (
            Method::PUT,
            "/blobs/uploads/",
            Box::new(|| StatusCode::RANGE_NOT_SATISFIABLE.into_response()),
        ),
    ];
    for (method, part, late) in cases {
        let case = format!("{method} {part}");
        let registry = Scripted::start(move |asked| {
            (asked.before < 2 && asked.is(method.clone(), part)).then(&late)
        })
        .await;
        let pushed = registry.push(&registry.anonymous()).await;
        assert_eq!(pushed.expect(&case).change.action, Action::Create, "{case}");
    }
}

#[tokio::test]
async fn what_this_run_has_pushed_is_looked_for_again() {
    let registry = Scripted::start(|asked| {
        let reads = matches!(asked.method, Method::GET | Method::HEAD);
        // The second machine, which is asked after the push, is late.
        let is_late = asked.before < 2 && asked.is(Method::GET, "/manifests/");
        (reads && is_late).then(|| refuse(404, "MANIFEST_UNKNOWN", ""))
    })
    .await;
    let client = registry.anonymous();
    let chart = crate::fixture::chart("app", "1.0.0", "hello");
    client
        .push_chart(&chart, &registry.chart())
        .await
        .expect("a push");
    let pulled = client.pull_chart(&registry.chart()).await;
    assert_eq!(pulled.expect("a chart"), chart);
    // What nobody has pushed is not waited for.
    let other = registry.chart().to_string().replace("1.0.0", "2.0.0");
    let before = registry.seen().len();
    let missing = client.pull_chart(&other.parse().expect("a name")).await;
    assert!(missing.is_err(), "{missing:?}");
    assert_eq!(registry.seen().len() - before, 1);
}

#[tokio::test]
async fn a_tag_that_never_appears_is_told() {
    let registry = Scripted::start(|asked| {
        asked
            .is(Method::HEAD, "/manifests/1.0.0")
            .then(|| refuse(404, "MANIFEST_UNKNOWN", ""))
    })
    .await;
    let error = registry
        .push(&registry.anonymous())
        .await
        .expect_err("no tag");
    insta::assert_snapshot!(registry.rendered(&error), @r"
    error[H0205]: the registry `HOST` failed while pushing to `team/app`: it accepted the tag `1.0.0`, but does not have it
    help: run the same command again; if the error persists, look at the log of the registry
    ");
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off() {
    // Whether the registry knows parts; what a second try gets otherwise.
    for (knows_parts, second) in [(true, None), (false, None), (true, Some(416))] {
        let sent: &'static Mutex<Vec<String>> = Box::leak(Box::default());
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (place, store) = broken_store(Arc::clone(&kept)).await;
        let registry = Scripted::start(move |asked| {
            if asked.is(Method::PUT, "/blobs/uploads/") && asked.body.len() > 100_000 {
                *kept.lock().expect("the layer") = asked.body.to_vec();
            }
            let layer = kept.lock().expect("the layer").clone();
            let is_layer = asked.is(Method::GET, harmony_oci::sha256(&layer).as_ref());
            if !is_layer {
                return None;
            }
            let range = asked.headers.get(header::RANGE);
            let range = range.map_or("all", |range| range.to_str().expect("text"));
            sent.lock().expect("the list").push(range.to_owned());
            match asked.before {
                0 => Some(redirect(307, &place)),
                1 if let Some(status) = second => Some(
                    StatusCode::from_u16(status)
                        .expect("a status")
                        .into_response(),
                ),
                _ if knows_parts => None,
                _ => Some(layer.into_response()),
            }
        })
        .await;
        let (client, to) = (registry.anonymous(), registry.image());
        let image = crate::fixture::Image::new(&[crate::fixture::large_layer(500_000)], None);
        harmony_core::capability::OciRegistry::push_image(&client, &image.built(), &to)
            .await
            .expect("a push");
        let folder = tempfile::tempdir().expect("a folder");
        let platform = Platform::current();
        let pulled = client
            .pull_image(&to, &platform, folder.path())
            .await
            .expect("an image");
        assert_eq!(pulled.digest, image.digest);
        let sent = sent.lock().expect("the list").clone();
        let expected: &[&str] = match second {
            None => &["all", "bytes=250000-"],
            Some(_) => &["all", "bytes=250000-", "all"],
        };
        store.abort();
        assert_eq!(sent, expected, "{knows_parts} {second:?}");
    }
}

/// A store that sends half of it, then breaks the connection; its address.
async fn broken_store(content: Arc<Mutex<Vec<u8>>>) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.expect("a request"));
            }
            let content = content.lock().expect("the content").clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                content.len()
            );
            let half = [head.as_bytes(), &content[..content.len() / 2]].concat();
            connection.write_all(&half).await.expect("half");
        }
    };
    (format!("http://{address}/blob"), tokio::spawn(serve))
}

fn unit() -> ReleaseUnit {
    ReleaseUnit::new(
        "shop".parse().expect("a name"),
        "web".parse().expect("a name"),
    )
    .expect("a unit")
}

/// Tags in pages of two; `link` says where the next one is.
async fn paged(link: impl Fn(&Asked, usize) -> String + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |asked| {
        let all = [
            "1.0.0",
            "1.1.0",
            "2.0.0-dev.4dd02ac76d13",
            "2.0.0",
            "latest",
        ];
        let start = asked.field("last").parse().unwrap_or(0);
        let tags = &all[start..(start + 2).min(all.len())];
        let mut response = json!({"name": "x", "tags": tags})
            .to_string()
            .into_response();
        if start + 2 < all.len() {
            let link = link(asked, start + 2).parse().expect("a header");
            response.headers_mut().insert(header::LINK, link);
        }
        asked.path.ends_with("/tags/list").then_some(response)
    })
    .await
}

#[tokio::test]
async fn all_pages_of_tags_are_read_and_circles_end() {
    let versions: Vec<Version> = ["1.0.0", "1.1.0", "2.0.0"]
        .map(|text| text.parse().expect("a version"))
        .into();
    let relative =
        paged(|_, next| format!("</v2/releases/shop-web/tags/list?last={next}>; rel=\"next\""))
            .await;
    let bare = paged(|_, next| format!("<?last={next}>; rel=next")).await;
    let absolute = paged(|asked, next| {
        format!(
            "<http://{}{}?last={next}>; rel=\"next\"",
            asked.host, asked.path
        )
    })
    .await;
    let elsewhere = paged(|asked, next| {
        format!(
            "<https://internal.invalid{}?last={next}>; rel=\"next\"",
            asked.path
        )
    })
    .await;
    for registry in [relative, bare, absolute, elsewhere] {
        let listed = registry.anonymous().released_versions(&unit()).await;
        assert_eq!(listed.expect("a list"), versions);
        assert_eq!(registry.seen().len(), 3);
    }
    let circle = paged(|_, _| "<?last=2>; rel=next".into()).await;
    let listed = circle.anonymous().released_versions(&unit()).await;
    assert_eq!(listed.expect("a list"), versions);
    assert_eq!(circle.seen().len(), 2);
}

#[tokio::test]
async fn pages_without_an_end_are_refused() {
    let registry = Scripted::start(|asked| {
        let last: usize = asked.field("last").parse().unwrap_or(0);
        let link = [(header::LINK, format!("<?last={}>; rel=next", last + 1))];
        let page = json!({"tags": ["1.0.0"]}).to_string();
        asked
            .path
            .ends_with("/tags/list")
            .then(|| (link, page).into_response())
    })
    .await;
    let error = registry
        .anonymous()
        .released_versions(&unit())
        .await
        .expect_err("too many");
    insta::assert_snapshot!(registry.rendered(&error), @r"
    error[H0233]: the list of tags of `releases/shop-web` is larger than 419430400 bytes
    help: check the reference: a release does not create anything this large
    ");
}

#[tokio::test]
async fn a_chart_stops_at_the_size_that_its_manifest_says() {
    let config = r#"{"name":"app","version":"1.0.0"}"#;
    let digest = harmony_oci::sha256(config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest, "size": config.len()},
        "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": harmony_oci::sha256(b""), "size": 1000}],
    })
    .to_string();
    let registry = Scripted::start(move |asked| {
        if asked.path.contains("/manifests/") {
            return Some(manifest.clone().into_response());
        }
        if asked.path.ends_with(digest.hex()) {
            return Some(config.into_response());
        }
        let endless =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 600]));
        Some(axum::body::Body::from_stream(endless).into_response())
    })
    .await;
    let error = registry
        .anonymous()
        .pull_chart(&registry.chart())
        .await
        .expect_err("no end");
    let rendered = registry.rendered(&error);
    insta::assert_snapshot!(rendered, @r"
    error[H0233]: `sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855` of `team/app` is larger than 1000 bytes
    help: check the reference: a release does not create anything this large
    ");
}
