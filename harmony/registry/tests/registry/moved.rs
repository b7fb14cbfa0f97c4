//! Uploads and downloads that go on elsewhere: a login never goes along to another host.

use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use harmony_core::capability::HelmRegistry;
use harmony_core::outcome::Action;

use crate::fixture;
use crate::scripted::{PASSWORD, Scripted, challenge, redirect, refuse};

/// An object store: it takes no login beside its signature, and keeps what it is sent.
async fn store(kept: Arc<Mutex<Vec<Vec<u8>>>>) -> Scripted {
    Scripted::start(move |asked| {
        if asked.authorization().is_some() || asked.field("signature") != "abc" {
            return Some(refuse(
                400,
                "InvalidArgument",
                "Only one auth mechanism allowed",
            ));
        }
        if asked.method == Method::PUT {
            kept.lock().expect("the list").push(asked.body.to_vec());
        }
        Some(StatusCode::CREATED.into_response())
    })
    .await
}

type Step = (Method, &'static str, u16);

#[tokio::test]
async fn an_upload_goes_where_the_registry_sends_it() {
    let kept = Arc::default();
    let store = store(Arc::clone(&kept)).await;
    let place = format!("http://{}/bucket?signature=abc", store.host);
    // Where the upload moves: when it begins, or when its bytes are sent.
    let moves: [(Step, bool); 4] = [
        ((Method::POST, "/blobs/uploads/", 202), true),
        ((Method::PUT, "/blobs/uploads/", 307), true),
        ((Method::PUT, "/blobs/uploads/", 308), true),
        ((Method::POST, "/blobs/uploads/", 307), false),
    ];
    for ((method, path, status), elsewhere) in moves {
        let case = format!("{method} {status}");
        let to = place.clone();
        let registry = Scripted::start(move |asked| {
            if !asked.has_password() {
                return Some(challenge("Basic realm=\"trial\""));
            }
            let is_moved = asked.is(method.clone(), path) && !asked.path.contains("/moved/");
            let to = if elsewhere {
                to.clone()
            } else {
                "/v2/moved/app/blobs/uploads/?x=1".to_owned()
            };
            is_moved.then(|| redirect(status, &to))
        })
        .await;
        let before = kept_count(&kept);
        let pushed = registry.push(&registry.with_password(PASSWORD)).await;
        assert_eq!(pushed.expect(&case).change.action, Action::Create, "{case}");
        // A layer and a config.
        assert_eq!(
            kept_count(&kept) - before,
            if elsewhere { 2 } else { 0 },
            "{case}"
        );
    }
}

fn kept_count(kept: &Arc<Mutex<Vec<Vec<u8>>>>) -> usize {
    kept.lock().expect("the list").len()
}

#[tokio::test]
async fn a_download_may_move_twice() {
    let registry = Scripted::start(|asked| {
        let is_blob = asked.is(Method::GET, "/blobs/sha256:");
        let moved = asked.field("moved");
        (is_blob && moved != "2").then(|| match moved {
            "" => redirect(308, &format!("{}?moved=1", asked.path)),
            _ => redirect(302, "?moved=2"),
        })
    })
    .await;
    let client = registry.anonymous();
    let chart = fixture::chart("app", "1.0.0", "hello");
    client
        .push_chart(&chart, &registry.chart())
        .await
        .expect("a push");
    assert_eq!(
        client.pull_chart(&registry.chart()).await.expect("a chart"),
        chart
    );
}

#[tokio::test]
async fn what_moves_in_a_circle_ends() {
    let registry = Scripted::start(|asked| {
        asked
            .is(Method::POST, "/blobs/uploads/")
            .then(|| redirect(307, &asked.path))
    })
    .await;
    let error = registry
        .push(&registry.anonymous())
        .await
        .expect_err("a circle");
    insta::assert_snapshot!(registry.rendered(&error), @r"
    error[H0205]: the registry `HOST` failed while pushing to `team/app`: it redirects in a loop
    help: run the same command again; if the error persists, look at the log of the registry
    ");
}
