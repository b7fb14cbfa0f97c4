//! TLS: a client talks to the server that its authority vouches for, and to no other.

use std::path::Path;

use harmony_fleet_adapters_nats::{NatsAuthority, NatsConnectError, NatsOptions};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

const NAME: &str = "fleet-nats.test.svc";

/// Certificates of an authority, and of a server that it vouches for.
struct Certificates {
    folder: tempfile::TempDir,
    authority: String,
}

impl Certificates {
    fn new() -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: String::new(),
        };
        made.replaced()
    }

    /// The same files with another authority.
    fn replaced(self) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![NAME.to_owned(), "127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let path = |file: &str| self.folder.path().join(file);
        std::fs::write(path("ca.crt"), &authority).unwrap();
        std::fs::write(path("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(path("tls.key"), key.serialize_pem()).unwrap();
        Self { authority, ..self }
    }

    fn server(&self) -> TestNats {
        TestNats::start_with(&config(self.folder.path())).unwrap()
    }

    fn client(&self, nats: &TestNats, name: Option<&str>) -> NatsOptions {
        let authority = NatsAuthority::from_pem(&self.authority, name).unwrap();
        options(nats).with_authority(Some(authority))
    }
}

fn config(folder: &Path) -> String {
    format!(
        "tls {{ cert_file: \"{0}/tls.crt\", key_file: \"{0}/tls.key\" }}\n\
         authorization {{ user: fleet, password: loopback-only }}\n",
        folder.display()
    )
}

fn options(nats: &TestNats) -> NatsOptions {
    nats.options("test").unwrap()
}

async fn refusal(options: &NatsOptions) -> String {
    match NatsConnection::connect(options).await {
        Err(NatsConnectError::Untrusted { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_server_of_the_authority_is_let_in_by_its_name_or_its_address() {
    let certificates = Certificates::new();
    let nats = certificates.server();
    for name in [Some(NAME), None] {
        let options = certificates.client(&nats, name);
        assert!(NatsConnection::connect(&options).await.unwrap().is_up());
    }
}

#[tokio::test]
async fn another_authority_another_name_and_the_systems_authorities_are_refused() {
    let certificates = Certificates::new();
    let nats = certificates.server();
    let other = Certificates::new().client(&nats, Some(NAME));
    let reason = refusal(&other).await;
    assert!(reason.starts_with("invalid peer certificate"), "{reason}");
    let name = certificates.client(&nats, Some("fleet-nats.other.svc"));
    let reason = refusal(&name).await;
    assert!(reason.contains("fleet-nats.other.svc"), "{reason}");
    let reason = refusal(&options(&nats)).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

#[tokio::test]
async fn a_server_without_encryption_gets_no_password() {
    let nats = TestNats::start().unwrap();
    let options = Certificates::new().client(&nats, Some(NAME));
    let error = NatsConnection::connect(&options).await.unwrap_err();
    assert!(
        !matches!(error, NatsConnectError::Refused { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_authority_is_replaced_while_a_service_runs() {
    let certificates = Certificates::new();
    let mut nats = certificates.server();
    let file = certificates.folder.path().join("ca.crt");
    let authority = NatsAuthority::from_file(&file, Some(NAME)).unwrap();
    let options = options(&nats).with_authority(Some(authority));
    let connection = NatsConnection::connect_in_background(&options)
        .await
        .unwrap();
    connection.came_up().await;
    nats.kill();
    let _certificates = certificates.replaced();
    nats.start_again().unwrap();
    eventually("the service trusts the new authority", async || {
        connection.is_up()
    })
    .await;
}

#[test]
fn what_is_not_an_authority_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    for (content, reason) in [
        ("", "no certificate"),
        ("not PEM", "no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "invalid",
        ),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = NatsAuthority::from_file(&file, None).unwrap_err();
        let shown = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(
            shown.contains("ca.crt") && shown.contains(reason),
            "{shown}"
        );
    }
    for other in [folder.path(), Path::new("/dev/zero"), Path::new("/none")] {
        assert!(NatsAuthority::from_file(other, None).is_err(), "{other:?}");
    }
    let authority = Certificates::new().authority;
    assert!(NatsAuthority::from_pem(&authority, Some("not a name")).is_err());
}
