//! Wrong settings and unreachable registries: each has its own error, and fails quickly.

use std::error::Error;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use harmony_core::Context;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_core::diagnostic::{Diagnostic, Report};
use harmony_registry::testing::{Authority, Protection, RegistryPeer};
use harmony_registry::{Credentials, Environment, OciRegistryClient, RegistrySettings};
use harmony_types::RegistryHost;

use crate::fixture::{self, Image};

fn nothing_set() -> RegistrySettings {
    RegistrySettings::new(Environment::default())
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_stays_secret() {
    let peer = fixture::peer().await;
    let settings = peer
        .settings()
        .with_credentials(Credentials::new(RegistryPeer::USER, "s3cret-but-wrong"));
    let client = fixture::client_in(Context::new(), &peer, settings);
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let before = peer.requests().expect("a log").len();
    let error = client
        .push_image(&Image::small("x").built(), &to)
        .await
        .expect_err("denied");
    let RegistryError::Denied { credentials, .. } = &error else {
        panic!("denied, not {error:?}");
    };
    assert_eq!(credentials, "from the settings of this program");
    let report = format!("{:?} {error:?} {client:?}", Report::of(&error));
    assert!(!report.contains("s3cret-but-wrong"), "{report}");
    // Repeating a wrong password could lock the user out.
    let tries = peer.requests().expect("a log").len() - before;
    assert!(tries <= 3, "{tries}");
}

#[tokio::test]
async fn without_a_login_the_error_says_where_it_was_looked_for() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().as_os_str().to_owned();
    let environment = Environment::from_lookup(|name| (name == "HOME").then(|| home.clone()));
    let settings = RegistrySettings::new(environment).with_ca_file(peer.ca_file());
    let client = fixture::client_in(Context::new(), &peer, settings);
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let error = client.resolve_image(&to).await.expect_err("denied");
    assert!(
        matches!(&error, RegistryError::Denied { registry, .. } if registry == peer.host()),
        "{error:?}"
    );
    let evidence = error.evidence().join("");
    assert!(
        evidence.contains("`HARMONY_REGISTRY_USER` is not set")
            && evidence.contains(".docker/config.json` does not exist"),
        "{evidence}"
    );
    assert!(error.hints()[0].contains("docker login"));
}

#[tokio::test]
async fn an_unknown_authority_is_told_apart() {
    let peer = fixture::peer().await;
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let folder = tempfile::tempdir().expect("a folder");
    let other_ca = folder.path().join("other.crt");
    let other = Authority::new("Another authority").expect("an authority");
    std::fs::write(&other_ca, other.certificate()).expect("a file");
    for settings in [nothing_set(), nothing_set().with_ca_file(&other_ca)] {
        let client = fixture::client_in(Context::new(), &peer, settings);
        let error = client.resolve_image(&to).await.expect_err("no trust");
        assert!(
            matches!(error, RegistryError::UntrustedCertificate { .. }),
            "{error:?}"
        );
        assert!(error.hints()[0].contains("HARMONY_REGISTRY_CA"));
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_trusted_when_it_is_named() {
    let peer = RegistryPeer::start_with(Protection::SelfSigned)
        .await
        .expect("a registry");
    let image = Image::small("operator");
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let unnamed = fixture::client_in(Context::new(), &peer, nothing_set());
    let error = unnamed.resolve_image(&to).await.expect_err("no trust");
    assert!(
        matches!(error, RegistryError::UntrustedCertificate { .. }),
        "{error:?}"
    );
    let named = nothing_set().with_ca_file(peer.ca_file());
    let named = fixture::client_in(Context::new(), &peer, named);
    named
        .push_image(&image.built(), &to)
        .await
        .expect("it is pushed");
}

#[tokio::test]
async fn a_file_of_authorities_has_to_be_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.crt");
    let empty = folder.path().join("empty.crt");
    let garbage = folder.path().join("garbage.crt");
    std::fs::write(&empty, "").expect("a file");
    std::fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    )
    .expect("a file");
    let location = RegistryLocation::new(
        RegistryHost::parse("registry.example.com").expect("a host"),
        None,
    )
    .expect("a location");
    for (path, code) in [(&missing, 220), (&empty, 221), (&garbage, 221)] {
        let error = OciRegistryClient::new(
            Context::new(),
            location.clone(),
            nothing_set().with_ca_file(path),
        )
        .expect_err("no authority");
        let shown = path.to_str().expect("a path");
        assert!(error.to_string().contains(shown), "{error}");
        assert_eq!(error.code().to_string(), format!("H0{code}"), "{error}");
    }
}

#[tokio::test]
async fn a_closed_port_fails_at_once() {
    // Bound and released, so that nothing listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let began = Instant::now();
    let error = resolve_at(port).await;
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_never_answers_fails_in_seconds() {
    // The kernel accepts the connection; nobody ever reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let began = Instant::now();
    let error = resolve_at(silent.local_addr().expect("an address").port()).await;
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

async fn resolve_at(port: u16) -> RegistryError {
    let host = RegistryHost::parse(format!("127.0.0.1:{port}")).expect("a host");
    let location = RegistryLocation::new(host.clone(), None).expect("a location");
    let client = OciRegistryClient::new(Context::new(), location, nothing_set()).expect("a client");
    let image = harmony_types::ImageRef::parse(format!("{host}/fleet/operator:0.1.0"))
        .expect("a reference");
    client.resolve_image(&image).await.expect_err("no registry")
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_chart_are_told_apart() {
    let peer = fixture::peer().await;
    let client = fixture::client(&peer);
    let chart = fixture::chart_ref(&peer, "fleet/operator:0.1.0");
    let error = client.pull_chart(&chart).await.expect_err("no chart");
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    let image = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    client
        .push_image(&Image::small("no chart").built(), &image)
        .await
        .expect("a push");
    let error = client.pull_chart(&chart).await.expect_err("an image");
    assert_eq!(error.code(), harmony_core::codes::NOT_A_CHART, "{error}");
}

#[tokio::test]
async fn a_cancelled_run_stops_before_it_begins() {
    let peer = fixture::peer().await;
    let context = Context::new();
    let client = fixture::client_in(context.clone(), &peer, peer.settings());
    context.cancellation().cancel();
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let error = client
        .push_image(&Image::small("x").built(), &to)
        .await
        .expect_err("cancelled");
    assert!(matches!(error, RegistryError::Cancelled(_)), "{error:?}");
    assert!(peer.requests().expect("a log").is_empty());
}
