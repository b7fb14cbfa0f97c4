//! How a client recognizes the fleet's NATS: its certificate is signed by the fleet's own certificate authority.
//!
//! The authority's certificates come from a file or from the context of the tools. A file is read again when a server's
//! certificate does not fit what was read before, so that an authority can be replaced while agents run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::file;

/// The certificate authority of the fleet's NATS. With one, every connection is encrypted, whatever the address says.
#[derive(Debug, Clone)]
pub struct NatsAuthority {
    source: Source,
    /// The name in the server's certificate; by default the host of the address.
    name: Option<ServerName<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Text,
}

impl NatsAuthority {
    /// The authority in the settings, if any. Empty settings count as missing.
    ///
    /// # Errors
    /// The file cannot be used, or there is a name without an authority.
    pub fn resolve(
        file: Option<&Path>,
        name: Option<&str>,
    ) -> Result<Option<Self>, AuthorityError> {
        let file = file.filter(|path| !path.as_os_str().is_empty());
        let name = name.filter(|name| !name.is_empty());
        match (file, name) {
            (Some(file), name) => Self::from_file(file, name).map(Some),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(AuthorityError::NameAlone),
        }
    }

    /// The authority whose certificates are in a PEM file. `name` is needed where the address is not the one in the
    /// server's certificate, as behind a tunnel.
    ///
    /// # Errors
    /// The file cannot be read or contains no certificate, or the name is not valid.
    pub fn from_file(path: &Path, name: Option<&str>) -> Result<Self, AuthorityError> {
        Ok(Self {
            source: Source::File(path.to_owned()),
            name: name.map(parse_name).transpose()?,
            verifier: read_verifier(path)?,
        })
    }

    /// The authority with these certificates, in PEM format.
    ///
    /// # Errors
    /// It contains no certificate, or the name is not valid.
    pub fn from_pem(pem: &str, name: Option<&str>) -> Result<Self, AuthorityError> {
        Ok(Self {
            source: Source::Text,
            name: name.map(parse_name).transpose()?,
            verifier: verifier(pem.as_bytes()).map_err(|reason| AuthorityError::Text { reason })?,
        })
    }

    /// The TLS settings of a client that trusts only this authority.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let verifier = FleetVerifier {
            source: self.source.clone(),
            name: self.name.clone(),
            current: Mutex::new(Arc::clone(&self.verifier)),
        };
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions that rustls has")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn parse_name(name: &str) -> Result<ServerName<'static>, AuthorityError> {
    ServerName::try_from(name.to_owned()).map_err(|_| AuthorityError::Name {
        name: name.chars().take(80).collect(),
    })
}

fn read_verifier(path: &Path) -> Result<Arc<WebPkiServerVerifier>, AuthorityError> {
    let pem = file::read(path).map_err(|source| AuthorityError::Read {
        path: path.to_owned(),
        source,
    })?;
    verifier(&pem).map_err(|reason| AuthorityError::File {
        path: path.to_owned(),
        reason,
    })
}

fn verifier(pem: &[u8]) -> Result<Arc<WebPkiServerVerifier>, InvalidAuthority> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| InvalidAuthority(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| InvalidAuthority(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(InvalidAuthority("it contains no certificate".into()));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| InvalidAuthority(error.to_string()))
}

/// Verifies a server by its authority and its name.
struct FleetVerifier {
    source: Source,
    name: Option<ServerName<'static>>,
    current: Mutex<Arc<WebPkiServerVerifier>>,
}

impl FleetVerifier {
    fn current(&self) -> Arc<WebPkiServerVerifier> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// The current content of the file. If it cannot be read, nothing changes.
    fn read_again(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let Source::File(path) = &self.source else {
            return None;
        };
        match read_verifier(path) {
            Ok(verifier) => {
                let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::clone(&verifier);
                Some(verifier)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the certificate authority again; keeping the old one");
                None
            }
        }
    }
}

impl fmt::Debug for FleetVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetVerifier")
            .field("source", &self.source)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for FleetVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(address);
        let verify = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(certificate, intermediates, name, ocsp, now)
        };
        verify(&self.current()).or_else(|error| match self.read_again() {
            Some(verifier) => verify(&verifier),
            None => Err(error),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current()
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current()
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

/// An authority that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read.
    #[error("cannot read the certificate authority of NATS from `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no certificate of an authority.
    #[error("`{}` does not contain the certificate of an authority", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        reason: InvalidAuthority,
    },
    /// The text holds no certificate of an authority.
    #[error("the certificate authority of NATS is not valid")]
    Text {
        /// Why not.
        #[source]
        reason: InvalidAuthority,
    },
    /// A server name without an authority.
    #[error("a server name for NATS is set without a certificate authority: set both")]
    NameAlone,
    /// Not a valid name in a certificate.
    #[error("`{name}` is not a host name")]
    Name {
        /// The text, or its beginning.
        name: String,
    },
}

/// What is wrong with the certificates of an authority.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAuthority(String);
