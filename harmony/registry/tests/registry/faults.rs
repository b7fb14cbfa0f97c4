//! Answers that are lost, late or wrong: retried if possible, else reported.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harmony_core::Context;
use harmony_core::Diagnostic;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_types::ChartRef;
use reqwest::Method;

use crate::fixture::{self, Image};
use crate::proxy::{Fault, FaultProxy, Rule, open_peer};

/// Every kind of request in a push.
const CALLS: [(Method, &str); 7] = [
    (Method::HEAD, "/manifests/0.1.0"),
    (Method::HEAD, "/manifests/sha256:"),
    (Method::HEAD, "/blobs/"),
    (Method::POST, "/blobs/uploads/"),
    (Method::PUT, "/blobs/uploads/"),
    (Method::PUT, "/manifests/sha256:"),
    (Method::PUT, "/manifests/0.1.0"),
];

#[tokio::test]
async fn a_push_gets_over_every_fault_at_every_request() {
    let peer = open_peer().await;
    let image = Image::new(&[fixture::layer(b"a"), fixture::layer(b"b")], None);
    let faults = [
        Fault::Status(429),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(504),
        Fault::DropBefore,
        Fault::DropAfter,
    ];
    let mut cases = Vec::new();
    for (method, path) in CALLS {
        for fault in faults {
            let rule = Rule {
                method: method.clone(),
                path,
                times: 2,
                fault,
            };
            let name = format!("faults/case-{}:0.1.0", cases.len());
            let (peer, image) = (&peer, &image);
            let case = format!("{fault:?} at {method} {path}");
            cases.push(async move {
                let proxy = FaultProxy::start(peer, vec![rule]).await;
                let to = proxy.image(&name);
                let client = proxy.client(Context::new());
                let published = client.push_image(&image.built(), &to).await;
                let published = published.unwrap_or_else(|error| panic!("{case}: {error:?}"));
                assert_eq!(published.digest.as_ref(), Some(&image.digest), "{case}");
                assert!(proxy.left() <= 1, "{case}: the fault did not happen");
                let found = client.resolve_image(&to).await.expect(&case);
                assert_eq!(found.as_ref(), Some(&image.digest), "{case}");
            });
        }
    }
    join_all(cases).await;
}

#[tokio::test]
async fn a_chart_is_read_again_when_an_answer_was_cut_or_garbled() {
    let peer = open_peer().await;
    let chart = fixture::chart("operator", "0.1.0", "hello");
    let calm = FaultProxy::start(&peer, Vec::new()).await;
    let to =
        ChartRef::parse(format!("oci://{}/charts/operator:0.1.0", calm.host)).expect("a reference");
    calm.client(Context::new())
        .push_chart(&chart, &to)
        .await
        .expect("a push");
    for path in ["/manifests/", "/blobs/"] {
        for fault in [
            Fault::Cut,
            Fault::Flip,
            Fault::Status(503),
            Fault::DropAfter,
        ] {
            let rule = Rule {
                method: Method::GET,
                path,
                times: 1,
                fault,
            };
            let proxy = FaultProxy::start(&peer, vec![rule]).await;
            let from = ChartRef::parse(format!("oci://{}/charts/operator:0.1.0", proxy.host))
                .expect("a reference");
            let pulled = proxy.client(Context::new()).pull_chart(&from).await;
            assert_eq!(pulled.expect(path), chart, "{fault:?} at {path}");
            assert_eq!(proxy.left(), 0, "{fault:?} at {path}");
        }
    }
}

#[tokio::test]
async fn what_stays_wrong_is_told_within_seconds() {
    let peer = open_peer().await;
    let chart = fixture::chart("operator", "0.1.0", "hello");
    let always = |method, path, fault| Rule {
        method,
        path,
        times: usize::MAX / 2,
        fault,
    };
    let proxy = FaultProxy::start(
        &peer,
        vec![
            always(Method::GET, "/blobs/", Fault::Flip),
            always(Method::HEAD, "/manifests/9.9.9", Fault::Status(503)),
            always(Method::HEAD, "/manifests/9.9.8", Fault::Status(500)),
        ],
    )
    .await;
    let client = proxy.client(Context::new());
    let began = Instant::now();
    let to = ChartRef::parse(format!("oci://{}/charts/operator:0.1.0", proxy.host))
        .expect("a reference");
    client.push_chart(&chart, &to).await.expect("a push");
    let error = client.pull_chart(&to).await.expect_err("garbled");
    assert_eq!(
        error.code(),
        harmony_core::codes::CORRUPT_CONTENT,
        "{error}"
    );
    let error = client
        .resolve_image(&proxy.image("a:9.9.9"))
        .await
        .expect_err("busy");
    assert!(matches!(error, RegistryError::Answer { .. }), "{error:?}");
    assert!(
        error.to_string().contains("503 Service Unavailable"),
        "{error}"
    );
    let error = client
        .resolve_image(&proxy.image("a:9.9.8"))
        .await
        .expect_err("broken");
    assert!(
        error.to_string().contains("500 Internal Server Error"),
        "{error}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn cancelling_ends_an_upload_and_the_next_run_finishes_it() {
    let peer = open_peer().await;
    let image = Image::small("cancelled");
    let rule = Rule {
        method: Method::PUT,
        path: "/blobs/uploads/",
        times: 1,
        fault: Fault::Hang,
    };
    let proxy = FaultProxy::start(&peer, vec![rule]).await;
    let to = proxy.image("fleet/cancelled:0.1.0");
    let context = Context::new();
    let client = proxy.client(context.clone());
    let built = image.built();
    let cancel = async {
        proxy.hung().await;
        context.cancellation().cancel();
        Instant::now()
    };
    let (pushed, cancelled) = tokio::join!(client.push_image(&built, &to), cancel);
    assert!(cancelled.elapsed() < Duration::from_secs(10));
    assert!(
        matches!(pushed, Err(RegistryError::Cancelled(_))),
        "{pushed:?}"
    );
    let client = proxy.client(Context::new());
    assert_eq!(client.resolve_image(&to).await.expect("an answer"), None);
    client.push_image(&built, &to).await.expect("a push");
    assert_eq!(
        client.resolve_image(&to).await.expect("an answer"),
        Some(image.digest)
    );
}
