//! What others limit: sizes, quotas, how often one may ask. Each is named, or waited for.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_core::outcome::Action;
use harmony_types::ImageRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{self, Image};
use crate::scripted::{Scripted, refuse, rendered};

async fn refused(
    script: impl Fn(&crate::scripted::Asked) -> Option<Response> + Send + Sync + 'static,
) -> String {
    let registry = Scripted::start(script).await;
    let error = registry
        .push(&registry.anonymous())
        .await
        .expect_err("refused");
    registry.rendered(&error)
}

fn too_large() -> Response {
    let page = Html("<html><head><title>413 Request Entity Too Large</title></head></html>");
    (StatusCode::PAYLOAD_TOO_LARGE, page).into_response()
}

#[tokio::test]
async fn a_proxy_that_limits_bodies_is_named_with_its_setting() {
    let layer = refused(|asked| {
        let is_large = asked.is(Method::PUT, "/blobs/") && asked.body.len() > 1000;
        is_large.then(too_large)
    });
    insta::assert_snapshot!(layer.await, @r"
    error[H0240]: `HOST` does not accept a layer of 3.00 KiB in one request
    help: increase the request size limit of the proxy in front of the registry: `client_max_body_size` in nginx, or the annotation `nginx.ingress.kubernetes.io/proxy-body-size` of its ingress
    ");
    let manifest = refused(|asked| asked.is(Method::PUT, "/manifests/").then(too_large));
    insta::assert_snapshot!(manifest.await, @r"
    error[H0240]: `HOST` does not accept a manifest of 397 B in one request
    help: increase the request size limit of the proxy in front of the registry: `client_max_body_size` in nginx, or the annotation `nginx.ingress.kubernetes.io/proxy-body-size` of its ingress
    ");
}

/// nginx answers as soon as it knows the length, and closes.
#[tokio::test]
async fn a_limit_is_told_also_when_the_connection_is_closed_at_once() {
    const LARGE: &[u8] = b"content-length: 30000000";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let server = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut head = Vec::new();
                // It speaks no TLS: that begins with this byte.
                while !head.ends_with(b"\r\n\r\n") && head != [0x16] {
                    match connection.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let answer = match head.get(..4) {
                    Some(b"HEAD") => "404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
                    Some(b"POST") => {
                        "202 Accepted\r\nlocation: /v2/u/1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()
                    }
                    _ if !head.windows(LARGE.len()).any(|part| part == LARGE) => {
                        "201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()
                    }
                    _ => format!(
                        "413 Request Entity Too Large\r\ncontent-type: text/html\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{}",
                        "<html></html>"
                    ),
                };
                drop(
                    connection
                        .write_all(format!("HTTP/1.1 {answer}").as_bytes())
                        .await,
                );
                drop(connection.shutdown().await);
                // As nginx does: for a while it reads and forgets.
                let mut rest = vec![0; 1 << 20];
                let mut left = 2_usize << 20;
                while left > 0 {
                    match connection.read(&mut rest).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => left = left.saturating_sub(read),
                    }
                }
            });
        }
    });
    let image = Image::new(&[fixture::large_layer(30_000_000)], None);
    let to: ImageRef = format!("{host}/team/app:1.0.0").parse().expect("a name");
    let location =
        harmony_core::capability::oci_registry::RegistryLocation::new(to.registry().clone(), None);
    let client = harmony_registry::OciRegistryClient::new(
        harmony_core::Context::new(),
        location.expect("a location"),
        harmony_registry::RegistrySettings::new(harmony_registry::Environment::default()),
    )
    .expect("a client");
    let error = client
        .push_image(&image.built(), &to)
        .await
        .expect_err("too large");
    server.abort();
    insta::assert_snapshot!(rendered(&error).replace(&host, "HOST"), @r"
    error[H0240]: `HOST` does not accept a layer of 28.61 MiB in one request
    help: increase the request size limit of the proxy in front of the registry: `client_max_body_size` in nginx, or the annotation `nginx.ingress.kubernetes.io/proxy-body-size` of its ingress
    ");
}

#[tokio::test]
async fn a_repository_that_has_to_be_made_is_named() {
    for (status, code) in [
        (404, "NAME_UNKNOWN"),
        (403, "NAME_UNKNOWN"),
        (400, "NAME_UNKNOWN"),
        (404, "NOT_FOUND"),
    ] {
        let rendered = refused(move |asked| {
            let message = "The repository with name 'team/app' does not exist\u{1b}[2J";
            asked
                .is(Method::POST, "/blobs/uploads/")
                .then(|| refuse(status, code, message))
        });
        let rendered = rendered.await;
        let answer = rendered
            .lines()
            .find(|line| line.starts_with("seen:"))
            .unwrap_or_default();
        assert!(
            answer.contains(code) && answer.ends_with("does not exist"),
            "{rendered}"
        );
        let others: Vec<_> = rendered
            .lines()
            .filter(|line| !line.starts_with("seen:"))
            .collect();
        insta::allow_duplicates! {
            insta::assert_snapshot!(others.join("\n"), @r#"
            error[H0241]: the registry `HOST` has no repository `team/app`
            help: create the repository `team/app` in the registry, then run the same command again
            help: if the registry is Harbor, set `registry.kind = "harbor"` in the configuration file, so that the project is created
            "#);
        }
    }
}

#[tokio::test]
async fn a_full_quota_is_no_room() {
    for (status, code, message) in [
        (
            403,
            "DENIED",
            "adding 1.0 MiB of storage resource, which when updated to current usage of 9.9 MiB will exceed the configured upper limit of 10.0 MiB.",
        ),
        (403, "DENIED", "quota has been exceeded on namespace"),
        (
            413,
            "SIZE_INVALID",
            "the storage quota of the project is reached",
        ),
        (507, "UNKNOWN", "the disk is full"),
    ] {
        for at in ["/blobs/uploads/", "/manifests/"] {
            let rendered = refused(move |asked| {
                asked
                    .is(Method::PUT, at)
                    .then(|| refuse(status, code, message))
            });
            let rendered = rendered.await.replace(message, "WORDS");
            let answered = StatusCode::from_u16(status).expect("a status").to_string();
            let rendered = rendered.replace(&format!("{answered}: {code}"), "STATUS: CODE");
            insta::allow_duplicates! {
                insta::assert_snapshot!(rendered, @r"
                error[H0206]: no space left for `team/app` in `HOST`
                seen: it answered: STATUS: CODE: WORDS
                help: free some space or increase the quota, then run the same command again
                ");
            }
        }
    }
}

/// The first two tries of a request are answered so.
fn busy(
    response: impl Fn() -> Response + Send + Sync + 'static,
) -> impl Fn(&crate::scripted::Asked) -> Option<Response> + Send + Sync + 'static {
    move |asked| {
        let is_early = asked.before < 2 && asked.path != "/v2/";
        (is_early && asked.is(Method::PUT, "/manifests/1.0.0")).then(&response)
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept() {
    let in_two_seconds = || {
        let then = SystemTime::now() + Duration::from_secs(2);
        let then = jiff::Timestamp::try_from(then).expect("a time");
        let format = "%a, %d %b %Y %H:%M:%S GMT";
        then.strftime(format).to_string()
    };
    for (status, dated) in [(429, false), (503, false), (429, true), (503, true)] {
        let tries: &'static Mutex<Vec<SystemTime>> = Box::leak(Box::default());
        let registry = Scripted::start(busy(move || {
            tries.lock().expect("the times").push(SystemTime::now());
            let wait = if dated { in_two_seconds() } else { "1".into() };
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::RETRY_AFTER, wait)]).into_response()
        }))
        .await;
        let pushed = registry.push(&registry.anonymous()).await.expect("a push");
        assert_eq!(pushed.change.action, Action::Create);
        let tries = tries.lock().expect("the times");
        let pause = tries[1].duration_since(tries[0]).expect("later");
        assert!(
            pause >= Duration::from_millis(900),
            "{status}, {dated}: {pause:?}"
        );
    }
}

#[tokio::test]
async fn a_pause_that_is_too_long_is_told_at_once() {
    for wait in ["3600", "Thu, 31 Dec 2099 23:59:59 GMT"] {
        let registry = Scripted::start(move |asked| {
            let response = refuse(
                429,
                "TOOMANYREQUESTS",
                "You have reached your pull rate limit",
            );
            let wait = [(header::RETRY_AFTER, wait)];
            (asked.path != "/v2/").then(|| (wait, response).into_response())
        })
        .await;
        let error = registry
            .anonymous()
            .pull_chart(&registry.chart())
            .await
            .expect_err("later");
        assert_eq!(registry.seen().len(), 1, "{:?}", registry.seen());
        let RegistryError::Adapter(_) = &error else {
            panic!("{error:?}");
        };
        let rendered = registry.rendered(&error);
        let lines: Vec<_> = rendered
            .lines()
            .filter(|line| !line.contains("pause of"))
            .collect();
        insta::allow_duplicates! {
            insta::assert_snapshot!(lines.join("\n"), @r"
            error[H0245]: too many requests to the registry `HOST`
            seen: it answered: 429 Too Many Requests: TOOMANYREQUESTS: You have reached your pull rate limit
            help: log in if you are not logged in, or run the same command again later; content that was already uploaded is not uploaded again
            ");
        }
    }
}
