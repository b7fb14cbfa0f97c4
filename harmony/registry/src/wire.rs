//! One request and its answer: the gate that keeps plans from writing, timeouts, and errors.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use harmony_core::Mode;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::proxy::{Proxy, ProxyError, ProxyVariables};
use harmony_types::RegistryHost;
use reqwest::{Client, Method, RequestBuilder, Response, Url};

use crate::error::ClientError;
use crate::settings::RegistrySettings;
use crate::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a request without a large body, and of each read of a body.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of an upload without progress. A registry may need a while at the end to store the data.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The HTTP client of one registry.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    http: Client,
    mode: Mode,
    registry: RegistryHost,
    proxies: ProxyVariables,
}

/// Why a request failed, and whether a retry may help.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: RegistryError,
    pub(crate) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// The earliest time of a retry, if the registry asked for one.
    After(Option<Duration>),
}

/// Whether a server uses TLS.
#[derive(Debug)]
pub(crate) enum Tls {
    No,
    /// With an untrusted certificate.
    Untrusted,
    Answers(Response),
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
    /// Reads the file of additional certificate authorities; does not connect yet.
    pub(crate) fn new(
        registry: &RegistryHost,
        mode: Mode,
        settings: &RegistrySettings,
    ) -> Result<Self, ClientError> {
        let proxies = settings.environment.proxies.clone();
        let leading = proxies.clone();
        let http = Client::builder()
            .user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // Redirects are followed by `Transport`, which knows where credentials may go.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy that cannot be used was refused before: see `request`.
            .proxy(reqwest::Proxy::custom(move |url| {
                let proxy = proxy_for(&leading, url).ok().flatten()?;
                let address = proxy.uri().to_string();
                // As in Go and for clusters, the proxy resolves names: external ones may be known only there.
                Some(match address.strip_prefix("socks5:") {
                    Some(rest) => format!("socks5h:{rest}"),
                    None => address,
                })
            }))
            .tls_backend_preconfigured(trust::client_config(settings.ca_file())?)
            .build()
            .map_err(|source| ClientError::Tls {
                source: source.into(),
            })?;
        Ok(Self {
            http,
            mode,
            registry: registry.clone(),
            proxies,
        })
    }

    pub(crate) fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// Starts a request to the registry. **The gate**: while planning, only reads get past this point, and there is no
    /// other way to the registry.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, ClientError> {
        let reads = method == Method::GET || method == Method::HEAD;
        if self.mode == Mode::Plan && !reads {
            return Err(ClientError::WriteWhilePlanning {
                method: method.to_string(),
                path: url.path().to_owned(),
            });
        }
        proxy_for(&self.proxies, &url)?;
        Ok(self.http.request(method, url))
    }

    /// Starts a request to a token server that must be a POST, such as one with an identity token (RFC 6749, section
    /// 6). It goes to the login endpoint and writes nothing, so plans may send it.
    pub(crate) fn log_in(&self, realm: Url) -> Result<RequestBuilder, ClientError> {
        proxy_for(&self.proxies, &realm)?;
        Ok(self.http.post(realm))
    }

    /// Sends a request without a large body.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Response, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await {
            Ok(answer) => answer.map_err(|error| self.failure(error)),
            Err(elapsed) => Err(self.unreachable(elapsed).into()),
        }
    }

    /// Sends a request whose body counts its bytes in `sent`, as long as there is progress.
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

    /// The body of an answer; an interrupted one is retried.
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

    /// The beginning of a body, which may be endless.
    pub(crate) async fn beginning(
        &self,
        mut response: Response,
        limit: u64,
    ) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while (body.len() as u64) < limit
            && let Some(piece) = self.piece(&mut response).await?
        {
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The next chunk of a body.
    pub(crate) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, response.chunk()).await {
            Ok(piece) => {
                piece.map_err(|error| Failure::transient(self.unreachable(error.without_url())))
            }
            Err(elapsed) => Err(self.unreachable(elapsed).into()),
        }
    }

    /// Whether the server at `url` uses TLS, trusted or not.
    pub(crate) async fn speaks_tls(&self, url: Url) -> Result<Tls, Failure> {
        let answer = self.http.get(url).timeout(ANSWER_TIMEOUT).send().await;
        match answer {
            Ok(response) => Ok(Tls::Answers(response)),
            Err(error) => match trouble(&error) {
                Trouble::Certificate => Ok(Tls::Untrusted),
                Trouble::NotTls => Ok(Tls::No),
                Trouble::NoConnection | Trouble::Broken => Err(self.failure(error)),
            },
        }
    }

    fn failure(&self, error: reqwest::Error) -> Failure {
        let proxy = error.url().and_then(|url| {
            let proxy = proxy_for(&self.proxies, url).ok().flatten()?;
            Some((proxy, url.host_str().unwrap_or_default().to_owned()))
        });
        // The address of an upload or a download may contain a signature.
        let error = error.without_url();
        if let Some((proxy, host)) = proxy
            && error.is_connect()
            && !causes(&error).any(<dyn Error>::is::<rustls::Error>)
        {
            return through(&proxy, host, error).into();
        }
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

fn proxy_for(proxies: &ProxyVariables, url: &Url) -> Result<Option<Proxy>, ProxyError> {
    match url.as_str().parse() {
        Ok(server) => proxies.proxy_for(&server),
        // Never sent anywhere.
        Err(_) => Ok(None),
    }
}

/// The failure between this machine, the proxy and the connection through it. The library reports it only as text.
fn through(proxy: &Proxy, host: String, error: reqwest::Error) -> ClientError {
    let says = |text: &str| causes(&error).any(|cause| cause.to_string().contains(text));
    let (setting, address) = (proxy.setting(), proxy.shown());
    if says("proxy authorization required") || says("SOCKS error: user/pass") {
        ClientError::ProxyLogin {
            proxy: address,
            setting,
            host,
            has_login: proxy.has_login(),
        }
    } else if causes(&error).any(|cause| is_answer(&cause.to_string())) {
        ClientError::ProxyRefuses {
            proxy: address,
            setting,
            host,
            source: error.into(),
        }
    } else {
        ClientError::ProxyUnreachable {
            proxy: address,
            setting,
            host,
            source: error.into(),
        }
    }
}

/// Whether the proxy was reached: the library says "tunnel error" or "SOCKS error" for what comes after.
fn is_answer(cause: &str) -> bool {
    (cause.starts_with("tunnel error") || cause.starts_with("SOCKS error"))
        && !cause.contains("failed to create underlying connection")
}

/// An error and its sources, also if an `io::Error` hides what it wraps from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    fn next<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        let error = *error;
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), next)
}

/// The reason of a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The certificate is not trusted.
    Certificate,
    /// The server answers, but not with TLS.
    NotTls,
    /// The connection failed.
    NoConnection,
    /// The connection broke; the next one may work.
    Broken,
}

fn trouble(error: &reqwest::Error) -> Trouble {
    let connecting = error.is_connect();
    for error in causes(error) {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                return Trouble::Certificate;
            }
            Some(rustls::Error::InvalidMessage(_)) => return Trouble::NotTls,
            _ => {}
        }
        let cut = matches!(
            error.downcast_ref::<io::Error>().map(io::Error::kind),
            Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
        );
        if connecting && cut {
            return Trouble::NotTls;
        }
    }
    if connecting || error.is_timeout() {
        Trouble::NoConnection
    } else {
        Trouble::Broken
    }
}
