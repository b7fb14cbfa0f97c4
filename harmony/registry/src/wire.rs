//! One request, one answer: the gate that keeps plans from writing, time limits, and what went wrong.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use harmony_core::Mode;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_types::RegistryHost;
use reqwest::{Client, Method, RequestBuilder, Response, Url};

use crate::error::ClientError;
use crate::settings::RegistrySettings;
use crate::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer to a request without a large body, and for each piece of a body that is read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For an upload on which nothing moves. A registry may need a while at the end, when it stores what it got.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The HTTP client of one registry.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    http: Client,
    mode: Mode,
    registry: RegistryHost,
}

/// Why a request failed, and whether trying again may help.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: RegistryError,
    pub(crate) retry: Retry,
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Not before the time that the registry asked for, if it did.
    After(Option<Duration>),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self {
            error,
            retry: Retry::Never,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        RegistryError::from(error).into()
    }
}

impl Failure {
    pub(crate) fn transient(error: impl Into<RegistryError>) -> Self {
        Self {
            error: error.into(),
            retry: Retry::After(None),
        }
    }
}

impl Wire {
    /// Reads the file of additional authorities; no connection is made yet.
    pub(crate) fn new(
        registry: &RegistryHost,
        mode: Mode,
        settings: &RegistrySettings,
    ) -> Result<Self, ClientError> {
        let mut builder = Client::builder()
            .user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // Followed by `Transport`, which knows where credentials may go.
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(trust::client_config(settings.ca_file())?);
        if registry.is_loopback() {
            // A proxy cannot reach what only this machine can.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|source| ClientError::Tls {
            source: source.into(),
        })?;
        Ok(Self {
            http,
            mode,
            registry: registry.clone(),
        })
    }

    pub(crate) fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// Begins a request to the registry. **The gate**: while planning, only what reads gets past this point, and
    /// there is no other way to the registry.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, ClientError> {
        let reads = method == Method::GET || method == Method::HEAD;
        if self.mode == Mode::Plan && !reads {
            return Err(ClientError::WriteWhilePlanning {
                method: method.to_string(),
                path: url.path().to_owned(),
            });
        }
        Ok(self.http.request(method, url))
    }

    /// Begins a request to a token server with an identity token, which has to be a POST (RFC 6749, section 6). It
    /// goes to where people log in and writes nothing, so plans may do it.
    pub(crate) fn log_in(&self, realm: Url) -> RequestBuilder {
        self.http.post(realm)
    }

    /// Sends a request without a large body.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Response, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await {
            Ok(answer) => answer.map_err(|error| self.failure(error)),
            Err(elapsed) => Err(self.unreachable(elapsed).into()),
        }
    }

    /// Sends a request whose body counts its bytes in `sent`, for as long as something moves.
    pub(crate) async fn upload(
        &self,
        request: RequestBuilder,
        sent: &Arc<AtomicU64>,
    ) -> Result<Response, Failure> {
        let stalled = async {
            loop {
                let before = sent.load(Ordering::Relaxed);
                tokio::time::sleep(STALL_TIMEOUT).await;
                if sent.load(Ordering::Relaxed) == before {
                    return;
                }
            }
        };
        tokio::select! {
            answer = request.send() => answer.map_err(|error| self.failure(error)),
            () = stalled => Err(self.unreachable(io::Error::from(io::ErrorKind::TimedOut)).into()),
        }
    }

    /// The body of an answer; one that breaks off is worth another try.
    pub(crate) async fn body(
        &self,
        mut response: Response,
        what: &str,
        limit: u64,
    ) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(&mut response).await? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > limit {
                return Err(ClientError::TooLarge {
                    what: what.to_owned(),
                    limit,
                }
                .into());
            }
        }
        Ok(body.freeze())
    }

    /// The next piece of a body.
    pub(crate) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, response.chunk()).await {
            Ok(piece) => {
                piece.map_err(|error| Failure::transient(self.unreachable(error.without_url())))
            }
            Err(elapsed) => Err(self.unreachable(elapsed).into()),
        }
    }

    /// Whether the server at `url` speaks TLS at all. Its certificate need not be trusted for that.
    pub(crate) async fn speaks_tls(&self, url: Url) -> Result<bool, Failure> {
        let answer = self.http.get(url).timeout(ANSWER_TIMEOUT).send().await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) => match trouble(&error) {
                Trouble::Certificate => Ok(true),
                Trouble::NotTls => Ok(false),
                Trouble::NoConnection | Trouble::Broken => Err(self.failure(error)),
            },
        }
    }

    fn failure(&self, error: reqwest::Error) -> Failure {
        // The address of an upload or a download may hold a signature.
        let error = error.without_url();
        match trouble(&error) {
            Trouble::Certificate => RegistryError::UntrustedCertificate {
                registry: self.registry.clone(),
                source: error.into(),
            }
            .into(),
            Trouble::NoConnection | Trouble::NotTls => self.unreachable(error).into(),
            Trouble::Broken => Failure::transient(self.unreachable(error)),
        }
    }

    fn unreachable(&self, source: impl Into<harmony_core::diagnostic::BoxError>) -> RegistryError {
        RegistryError::Unreachable {
            registry: self.registry.clone(),
            source: source.into(),
        }
    }
}

/// What a failed request died of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The certificate is not trusted.
    Certificate,
    /// The other side talks, but not TLS.
    NotTls,
    /// No connection came about.
    NoConnection,
    /// The connection broke on the way: the next one may hold.
    Broken,
}

fn trouble(error: &reqwest::Error) -> Trouble {
    let connecting = error.is_connect();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                return Trouble::Certificate;
            }
            Some(rustls::Error::InvalidMessage(_)) => return Trouble::NotTls,
            _ => {}
        }
        let io = error.downcast_ref::<io::Error>();
        let cut = matches!(
            io.map(io::Error::kind),
            Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
        );
        if connecting && cut {
            return Trouble::NotTls;
        }
        // An `io::Error` hides what it wraps from `source`.
        cause = match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    if connecting || error.is_timeout() {
        Trouble::NoConnection
    } else {
        Trouble::Broken
    }
}
