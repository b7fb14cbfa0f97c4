//! Publishing, and publishing again.

use std::fs;

use harmony_core::Diagnostic;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_core::context::Context;
use harmony_core::event::{Event, StepEnd};
use harmony_core::image::{BuiltImage, ImageLocation};
use harmony_core::inventory::Platform;
use harmony_core::outcome::Action;
use harmony_registry::testing::{LoggedRequest, RegistryPeer};
use harmony_registry::{Environment, RegistrySettings};
use reqwest::Method;

use crate::fixture::{self, Image};
use crate::proxy::{Fault, FaultProxy, Rule, open_peer};

fn writes(requests: &[LoggedRequest]) -> Vec<String> {
    requests
        .iter()
        .filter(|request| request.writes())
        .map(|request| format!("{} {}", request.method, request.status))
        .collect()
}

#[tokio::test]
async fn what_is_published_is_found_and_a_second_run_sends_nothing() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let image = Image::small("first");
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let chart = fixture::chart("operator", "0.1.0", "hello");
    let chart_to = fixture::chart_ref(&peer, "charts/operator:0.1.0");

    assert_eq!(client.resolve_image(&to).await.expect("an answer"), None);
    let published = client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    assert_eq!(published.change.action, Action::Create);
    assert_eq!(published.digest.as_ref(), Some(&image.digest));
    let published_chart = client.push_chart(&chart, &chart_to).await.expect("a push");
    assert_eq!(published_chart.change.action, Action::Create);
    assert_eq!(
        client.resolve_image(&to).await.expect("an answer"),
        Some(image.digest.clone())
    );
    assert_eq!(
        client.resolve_chart(&chart_to).await.expect("an answer"),
        published_chart.digest
    );
    assert_eq!(client.pull_chart(&chart_to).await.expect("a chart"), chart);

    // A new client, as the next run has one.
    let before = peer.requests().expect("a log").len();
    let client = fixture::client(&peer);
    let again = client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    let chart_again = client.push_chart(&chart, &chart_to).await.expect("a push");
    assert_eq!(again.change.action, Action::Unchanged);
    assert_eq!(again.digest, published.digest);
    assert_eq!(chart_again.change.action, Action::Unchanged);
    assert_eq!(chart_again.digest, published_chart.digest);
    let requests = peer.requests().expect("a log").split_off(before);
    assert_eq!(writes(&requests), [] as [String; 0]);
    // One to detect the protocol, one that asks for the password, one for each answer.
    assert!(requests.len() <= 4, "{requests:#?}");
}

#[tokio::test]
async fn each_push_is_one_step_that_counts_bytes() {
    let peer = fixture::peer().await;
    let context = Context::new();
    let mut events = context.subscribe();
    let client = fixture::client_in(context, &peer, peer.settings());
    let image = Image::small("steps");
    let to = fixture::image_ref(&peer, "fleet/steps:0.1.0");
    client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    let mut seen = Vec::new();
    let mut last = None;
    while let Ok(event) = events.try_recv() {
        match event {
            Event::StepStarted { label, .. } => seen.push(label),
            Event::StepProgress { position, .. } => last = position,
            Event::StepFinished { end, message, .. } => seen.push(format!("{end:?}: {message}")),
            _ => {}
        }
    }
    let label = format!("push image {to}");
    assert_eq!(seen[0], label);
    assert!(
        seen[1].starts_with("Done: 2 of 2 blobs sent, "),
        "{}",
        seen[1]
    );
    assert_eq!(
        seen[2..],
        [label, format!("{:?}: already published", StepEnd::Skipped)]
    );
    let last = last.expect("a position");
    assert_eq!(last.done, last.total);
}

#[tokio::test]
async fn a_version_with_other_content_is_refused_naming_both_digests() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let (first, second) = (Image::small("first"), Image::small("second"));
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    client
        .push_image(&first.built(), &to)
        .await
        .expect("a push");
    let before = peer.requests().expect("a log").len();
    match client.push_image(&second.built(), &to).await {
        Err(RegistryError::TagTaken {
            reference,
            published,
            ours,
        }) => {
            assert_eq!(reference, to.to_string());
            assert_eq!((published, ours), (first.digest.clone(), second.digest));
        }
        other => panic!("refused, not {other:?}"),
    }
    assert_eq!(
        writes(&peer.requests().expect("a log")[before..]),
        [] as [String; 0]
    );
    assert_eq!(
        client.resolve_image(&to).await.expect("an answer"),
        Some(first.digest)
    );

    let chart_to = fixture::chart_ref(&peer, "charts/operator:0.1.0");
    let first = client
        .push_chart(&fixture::chart("operator", "0.1.0", "hello"), &chart_to)
        .await
        .expect("a push");
    let refused = client
        .push_chart(&fixture::chart("operator", "0.1.0", "bye"), &chart_to)
        .await
        .expect_err("other content");
    assert!(
        matches!(&refused, RegistryError::TagTaken { published, .. } if Some(published) == first.digest.as_ref()),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_version_that_is_taken_during_the_push_is_refused() {
    let peer = open_peer().await;
    let (first, second) = (Image::small("first"), Image::small("second"));
    let rule = Rule {
        method: Method::PUT,
        path: "/manifests/sha256:",
        times: 1,
        fault: Fault::Busy(1),
    };
    let proxy = FaultProxy::start(&peer, vec![rule]).await;
    let slow = proxy.client(Context::new());
    let (slow_to, slow_built) = (proxy.image("fleet/race:0.1.0"), first.built());
    let direct = fixture::client_in(
        Context::new(),
        &peer,
        RegistrySettings::new(Environment::default()),
    );
    let overtake = async {
        proxy.hung().await;
        let to = fixture::image_ref(&peer, "fleet/race:0.1.0");
        direct.push_image(&second.built(), &to).await
    };
    let (slow, overtaking) = tokio::join!(slow.push_image(&slow_built, &slow_to), overtake);
    overtaking.expect("the first to finish");
    let error = slow.expect_err("the version was taken meanwhile");
    assert!(
        matches!(&error, RegistryError::TagTaken { published, ours, .. }
            if *published == second.digest && *ours == first.digest),
        "{error:?}"
    );
}

#[tokio::test]
async fn blobs_are_mounted_from_where_the_registry_has_them() {
    let peer = fixture::peer().await;
    let layer = fixture::layer(&vec![7; 50_000]);
    let base = Image::new(std::slice::from_ref(&layer), None);
    let base_to = fixture::image_ref(&peer, "base/debian:13");
    fixture::client(&peer)
        .push_image(&base.built(), &base_to)
        .await
        .expect("a push");

    // A new client knows the base only from the image's own annotation.
    let before = peer.requests().expect("a log").len();
    let image = Image::new(
        &[layer, fixture::layer(b"on top")],
        Some(&base_to.to_string()),
    );
    let to = fixture::image_ref(&peer, "fleet/on-base:0.1.0");
    fixture::client(&peer)
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    let requests = peer.requests().expect("a log").split_off(before);
    let mounted = requests
        .iter()
        .filter(|request| request.path.contains("mount=") && request.status == 201)
        .count();
    let uploaded = requests
        .iter()
        .filter(|request| request.method == "PUT" && request.path.contains("/blobs/"))
        .count();
    assert_eq!((mounted, uploaded), (1, 2), "{requests:#?}");

    // The same client remembers what it sent where.
    let client = fixture::client(&peer);
    let other = Image::small("remembered");
    client
        .push_image(&other.built(), &fixture::image_ref(&peer, "fleet/a:1.0.0"))
        .await
        .expect("a push");
    let before = peer.requests().expect("a log").len();
    client
        .push_image(&other.built(), &fixture::image_ref(&peer, "fleet/b:1.0.0"))
        .await
        .expect("a push");
    let requests = peer.requests().expect("a log").split_off(before);
    assert!(
        !requests
            .iter()
            .any(|request| request.method == "PUT" && request.path.contains("/blobs/")),
        "{requests:#?}"
    );
}

#[tokio::test]
async fn an_archive_is_as_good_as_a_directory() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let image = Image::small("archived");
    let archive = image.archive();
    let to = fixture::image_ref(&peer, "fleet/archived:0.1.0");
    let pushed = client
        .push_image(&fixture::built(&image.digest, &archive), &to)
        .await;
    fs::remove_file(&archive).expect("the archive");
    assert_eq!(pushed.expect("a push").digest.as_ref(), Some(&image.digest));
    assert_eq!(
        client.resolve_image(&to).await.expect("an answer"),
        Some(image.digest)
    );
}

#[tokio::test]
async fn a_pulled_image_is_the_pushed_one() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let image = Image::new(&[fixture::layer(b"a"), fixture::layer(b"b")], None);
    let to = fixture::image_ref(&peer, "fleet/there-and-back:0.1.0");
    client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");

    let folder = tempfile::tempdir().expect("a folder");
    let layout = folder.path().join("layout");
    let platform = Platform::current();
    let pulled = client
        .pull_image(&to, &platform, &layout)
        .await
        .expect("a pull");
    assert_eq!(pulled.digest, image.digest);
    assert_eq!(pulled.location, ImageLocation::OciLayout(layout.clone()));
    for blob in fs::read_dir(image.folder.path().join("blobs/sha256")).expect("blobs") {
        let name = blob.expect("an entry").file_name();
        let name = name.to_str().expect("hex digits");
        assert_eq!(
            fs::read(layout.join("blobs/sha256").join(name)).expect("a pulled blob"),
            fs::read(image.folder.path().join("blobs/sha256").join(name)).expect("a blob")
        );
    }

    // Pulled content can be pushed, and pulling again reads no blob.
    let elsewhere = fixture::image_ref(&peer, "copy/of-it:0.1.0");
    client
        .push_image(&harmony_core::image::Built::Image(pulled), &elsewhere)
        .await
        .expect("a push");
    let before = peer.requests().expect("a log").len();
    client
        .pull_image(&to, &platform, &layout)
        .await
        .expect("a pull");
    let requests = peer.requests().expect("a log").split_off(before);
    assert!(
        !requests
            .iter()
            .any(|request| request.path.contains("/blobs/")),
        "{requests:#?}"
    );

    let missing = fixture::image_ref(&peer, "fleet/there-and-back:9.9.9");
    let error = client
        .pull_image(&missing, &platform, &layout)
        .await
        .expect_err("no image");
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_layout_that_changed_after_the_build_is_not_published() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let layer = fixture::layer(b"as built");
    let image = Image::new(std::slice::from_ref(&layer), None);
    let mut tampered = layer.clone();
    tampered[0] ^= 1;
    fs::write(image.blob(&fixture::digest(&layer)), &tampered).expect("a blob");
    let to = fixture::image_ref(&peer, "fleet/tampered:0.1.0");
    let error = client
        .push_image(&image.built(), &to)
        .await
        .expect_err("other bytes");
    assert!(matches!(error, RegistryError::Local { .. }), "{error:?}");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    let digests = [&layer, &tampered].map(|bytes| fixture::digest(bytes).to_string());
    assert!(
        digests.iter().all(|digest| cause.contains(digest)),
        "{cause}"
    );
    assert_eq!(client.resolve_image(&to).await.expect("an answer"), None);
    assert_stored_nowhere(&peer, &fixture::digest(&tampered));
}

fn assert_stored_nowhere(peer: &RegistryPeer, digest: &harmony_types::Digest) {
    let stored = peer
        .storage()
        .join("docker/registry/v2/blobs/sha256")
        .join(&digest.hex()[..2])
        .join(digest.hex());
    assert!(!stored.exists(), "{}", stored.display());
}

#[tokio::test]
async fn what_cannot_be_pushed_is_refused_before_anything_is_asked() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let image = Image::small("refused");
    let before = peer.requests().expect("a log").len();
    let message = |result: Result<_, RegistryError>| {
        result
            .map(|_: harmony_core::capability::oci_registry::Published| ())
            .expect_err("a refusal")
            .to_string()
    };
    let elsewhere =
        harmony_types::ImageRef::parse("registry.example.com/a:1").expect("a reference");
    assert_eq!(
        message(client.push_image(&image.built(), &elsewhere).await),
        format!(
            "`registry.example.com/a:1` is not in the registry `{}`",
            peer.host()
        )
    );
    let untagged = fixture::image_ref(&peer, "fleet/untagged");
    assert_eq!(
        message(client.push_image(&image.built(), &untagged).await),
        format!("`{untagged}` has neither a tag nor a digest")
    );
    let other = fixture::digest(b"other");
    let pinned = fixture::image_ref(&peer, &format!("fleet/pinned:1.0.0@{other}"));
    let refused = client.push_image(&image.built(), &pinned).await;
    let refused = refused.expect_err("another digest");
    assert_eq!(refused.code(), harmony_core::codes::OTHER_DIGEST);
    let chart = fixture::chart("operator", "0.1.0", "hello");
    let misnamed = fixture::chart_ref(&peer, "charts/agent:0.1.0");
    assert_eq!(
        message(client.push_chart(&chart, &misnamed).await),
        format!("the chart `operator 0.1.0` cannot be pushed as `{misnamed}`")
    );
    assert_eq!(peer.requests().expect("a log").len(), before);

    // These need to know first that the version is free.
    let to = fixture::image_ref(&peer, "fleet/in-docker:0.1.0");
    let in_docker = harmony_core::image::Built::Image(BuiltImage {
        digest: image.digest.clone(),
        location: ImageLocation::DockerDaemon(to.clone()),
        size: 0,
    });
    assert_eq!(
        message(client.push_image(&in_docker, &to).await),
        format!("the image for `{to}` is in the docker daemon as `{to}`, not in an OCI layout")
    );
    let predicted = harmony_core::image::Built::Predicted(None);
    assert_eq!(
        message(client.push_image(&predicted, &to).await),
        format!("the image for `{to}` was only predicted, not built")
    );
    let gone = fixture::built(&image.digest, std::path::Path::new("/nonexistent/layout"));
    assert_eq!(
        message(client.push_image(&gone, &to).await),
        format!("cannot read the image for `{to}`")
    );
}
