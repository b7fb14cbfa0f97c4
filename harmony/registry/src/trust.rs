//! Which servers are trusted: those vouched for by an authority of this machine or of the user's file, and those whose
//! own certificate is in that file.
//!
//! The second case is for certificates made with `openssl req -x509`, which many registries use: they are self-signed
//! and claim to be an authority. Go programs (docker, helm, skopeo) accept them; the rules of rustls do not allow a CA
//! certificate for a server. It is accepted only if the user's file contains exactly this certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::ClientError;

/// TLS that trusts the authorities of this machine and those in the user's file.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let named = ca_file.map(certificates).transpose()?.unwrap_or_default();
    trusting(named).map_err(|source| ClientError::Tls {
        source: source.into(),
    })
}

/// The certificates in the user's file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = std::fs::read(path).map_err(|source| ClientError::CaFileUnreadable {
        path: path.to_owned(),
        source,
    })?;
    let invalid = |source| ClientError::CaFileInvalid {
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|source| invalid(Some(source.into())))?;
    if certificates.is_empty() {
        return Err(invalid(None));
    }
    Ok(certificates)
}

fn trusting(named: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let authorities = Verifier::new_with_extra_roots(named.iter().cloned(), Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { authorities, named }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The verifier of the platform, and the certificates that are trusted as they are.
#[derive(Debug)]
struct Trust {
    authorities: Verifier,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // This error comes right after the check of the validity period, so that one has passed; nothing else has.
            Err(error) if is_an_authority_itself(&error) => {
                if !self.named.contains(end_entity) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn is_an_authority_itself(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

    /// As `openssl req -x509` makes it: self-signed, and a CA.
    fn signs_itself(year_of_its_end: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["registry.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year_of_its_end, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().into()
    }

    fn verify(
        named: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        host: &str,
    ) -> Result<(), CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let named = vec![named.clone()];
        let trust = Trust {
            authorities: Verifier::new_with_extra_roots(named.clone(), provider).unwrap(),
            named,
        };
        let host = ServerName::try_from(host.to_owned()).unwrap();
        match trust.verify_server_cert(shown, &[], &host, &[], NOW) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_certificate_that_signs_itself_is_trusted_when_it_is_named() {
        let ours = signs_itself(2100);
        assert_eq!(verify(&ours, &ours, "registry.test"), Ok(()));
    }

    #[test]
    fn one_that_is_not_named_or_not_valid_is_not_trusted() {
        let (ours, other) = (signs_itself(2100), signs_itself(2100));
        assert_eq!(
            verify(&other, &ours, "registry.test"),
            Err(CertificateError::UnknownIssuer)
        );
        assert!(matches!(
            verify(&ours, &ours, "elsewhere.test"),
            Err(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
        ));
        let expired = signs_itself(2021);
        assert!(matches!(
            verify(&expired, &expired, "registry.test"),
            Err(CertificateError::Expired | CertificateError::ExpiredContext { .. })
        ));
    }
}
