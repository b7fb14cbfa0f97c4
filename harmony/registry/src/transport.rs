//! Calls to one registry: login, redirects, retries.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use harmony_core::Context;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_types::{RegistryHost, Repository};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::OnceCell;

use crate::answer::{self, LONGEST_RETRY_AFTER, Unwanted};
use crate::auth::{Authenticator, Identity, Standing};
use crate::credentials::Logins;
use crate::endpoint::{self, Hop};
use crate::error::ClientError;
use crate::scope::Scope;
use crate::settings::RegistrySettings;
use crate::wire::{Failure, Retry, Tls, Wire};

/// The maximum number of redirects of a download; real registries need one.
const MAX_HOPS: usize = 5;
/// One 401 to request a token, one for an expired token.
const MAX_CHALLENGES: usize = 2;
pub(crate) const API_ROOT: &str = "/v2/";
const MAX_RETRIES: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The connection to one registry, shared by all operations.
#[derive(Debug)]
pub(crate) struct Transport {
    wire: Wire,
    auth: Authenticator,
    base: OnceCell<Url>,
    /// What this process has written: repositories, and names in them.
    published: Mutex<HashSet<(Repository, String)>>,
}

/// One request, which can be repeated.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) identity: Identity,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) payload: Payload,
    /// For messages: the operation, such as "pushing to `fleet/operator`".
    pub(crate) operation: String,
}

/// The target of a call.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A path of the registry's API, with its query.
    Path(String),
    /// Where the registry said to continue.
    Hop(HopTarget),
}

/// A place that the registry named and that was judged safe.
#[derive(Debug, Clone)]
pub(crate) struct HopTarget {
    pub(crate) url: Url,
    /// Whether it is the registry itself; only then are credentials sent.
    pub(crate) home: bool,
}

/// The body of a call.
#[derive(Clone)]
pub(crate) enum Payload {
    Empty,
    Bytes {
        content_type: String,
        bytes: Bytes,
    },
    /// A large body, created anew for each attempt; `sent` counts its bytes.
    Stream {
        length: u64,
        sent: Arc<AtomicU64>,
        open: Arc<dyn Fn() -> Body + Send + Sync>,
    },
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes { bytes, .. } => write!(f, "Bytes({})", bytes.len()),
            Self::Stream { length, .. } => write!(f, "Stream({length})"),
        }
    }
}

impl Call {
    /// A request of the distribution API.
    pub(crate) fn new(
        method: Method,
        path: impl Into<String>,
        scope: Scope,
        operation: impl Into<String>,
    ) -> Self {
        Self {
            method,
            target: Target::Path(path.into()),
            identity: Identity::Asked(scope),
            headers: Vec::new(),
            payload: Payload::Empty,
            operation: operation.into(),
        }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    pub(crate) fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }
}

impl Transport {
    pub(crate) fn new(
        context: &Context,
        registry: &RegistryHost,
        path: Option<&Repository>,
        settings: RegistrySettings,
    ) -> Result<Self, ClientError> {
        settings.check()?;
        Ok(Self {
            wire: Wire::new(registry, context.mode(), &settings)?,
            auth: Authenticator::new(Logins::new(registry.clone(), path.cloned(), settings)),
            base: OnceCell::new(),
            published: Mutex::default(),
        })
    }

    pub(crate) fn registry(&self) -> &RegistryHost {
        self.wire.registry()
    }

    /// Takes in that a manifest is in the registry under this name.
    pub(crate) fn remember(&self, repository: &Repository, name: &str) {
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        published.insert((repository.clone(), name.to_owned()));
    }

    /// Whether a manifest is known to be in the registry, though not every machine of it may know that yet.
    pub(crate) fn has_published(&self, repository: &Repository, name: &str) -> bool {
        let published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        published.contains(&(repository.clone(), name.to_owned()))
    }

    pub(crate) fn auth(&self) -> &Authenticator {
        &self.auth
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Sends a call, and logs in if the registry asks for it. Any answer that is not worth a retry is returned; the
    /// caller decides what it means.
    pub(crate) async fn send(&self, call: &Call) -> Result<Response, Failure> {
        let base = self.base().await?;
        let mut hop = match &call.target {
            Target::Path(path) => HopTarget {
                url: base.join(path).map_err(|_| {
                    self.nonsense(
                        &call.operation,
                        format!("`{path}` is not a valid path of its API"),
                    )
                })?,
                home: true,
            },
            Target::Hop(target) => target.clone(),
        };
        let mut challenges = 0;
        for _ in 0..=MAX_HOPS + MAX_CHALLENGES {
            let authorization = if hop.home {
                self.auth
                    .authorization(&self.wire, base, &call.identity, &call.operation)
                    .await?
            } else {
                None
            };
            if let Some(login) = &authorization {
                match self.auth.trial(&call.identity, login).await {
                    Standing::Taken => {}
                    Standing::Unknown => self.try_password(base, login, call).await?,
                    Standing::Refused => return Err(self.denied(call, None).await.into()),
                }
            }
            let response = self
                .send_once(call, &hop.url, authorization.as_ref())
                .await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && hop.home && challenges < MAX_CHALLENGES {
                challenges += 1;
                let helps = self
                    .auth
                    .challenged(&call.identity, authorization.as_ref(), response.headers())
                    .await;
                if helps {
                    continue;
                }
            }
            if answer::is_transient(status) {
                let unwanted = Unwanted::read(&self.wire, response).await;
                return Err(unwanted.failure(self.registry(), &call.operation));
            }
            let writes = !matches!(call.method, Method::GET | Method::HEAD);
            if endpoint::follows(status, writes) && response.headers().contains_key(LOCATION) {
                hop = self.hop(&hop.url, &response).await?;
                continue;
            }
            return Ok(response);
        }
        Err(self
            .nonsense(&call.operation, "it redirects in a loop".into())
            .into())
    }

    /// The place where `response`, an answer to a request to `from`, says to continue.
    pub(crate) async fn hop(&self, from: &Url, response: &Response) -> Result<HopTarget, Failure> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| {
                self.nonsense("its answer", "it does not say where to continue".into())
            })?;
        self.hop_to(from, location).await
    }

    /// The place that something at `from` refers to as `location`.
    pub(crate) async fn hop_to(&self, from: &Url, location: &str) -> Result<HopTarget, Failure> {
        let base = self.base().await?;
        match endpoint::next_hop(base, from, location) {
            Ok(Hop::Home(url)) => Ok(HopTarget { url, home: true }),
            Ok(Hop::Foreign(url)) => Ok(HopTarget { url, home: false }),
            Err(reason) => Err(ClientError::UnsafeTarget {
                registry: self.registry().clone(),
                target: from
                    .join(location)
                    .map_or_else(|_| "(unreadable)".into(), |url| endpoint::shown(&url)),
                reason,
            }
            .into()),
        }
    }

    /// The error for an unexpected answer.
    pub(crate) async fn rejection(&self, call: &Call, response: Response) -> Failure {
        let unwanted = Unwanted::read(&self.wire, response).await;
        self.judgement(call, &unwanted).await
    }

    /// Like [`rejection`](Self::rejection), for an answer that has already been read.
    pub(crate) async fn judgement(&self, call: &Call, unwanted: &Unwanted) -> Failure {
        let registry = self.registry().clone();
        match (unwanted.status, &call.payload) {
            _ if unwanted.is_full() => {}
            _ if unwanted.is_immutable() => {
                return ClientError::ImmutableTag {
                    registry,
                    operation: call.operation.clone(),
                    answer: unwanted.text(),
                }
                .into();
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                return self.denied(call, unwanted.words()).await.into();
            }
            // Usually a proxy in front of the registry: registries themselves accept blobs of any size.
            (StatusCode::PAYLOAD_TOO_LARGE, Payload::Stream { length, .. }) => {
                return ClientError::BodyLimit {
                    registry,
                    what: "a layer",
                    size: *length,
                }
                .into();
            }
            (StatusCode::PAYLOAD_TOO_LARGE, Payload::Bytes { bytes, .. }) => {
                return ClientError::BodyLimit {
                    registry,
                    what: "a manifest",
                    size: bytes.len() as u64,
                }
                .into();
            }
            _ => {}
        }
        let mut failure = unwanted.failure(&registry, &call.operation);
        if let RegistryError::NoSpace { what, .. } = &mut failure.error
            && let Identity::Asked(scope) = &call.identity
        {
            *what = format!("`{}`", scope.repository);
        }
        failure
    }

    /// False if the registry or its token server refuses our login, or requires one that we do not have. Used when
    /// something is denied: if our login works, what is denied may not exist.
    pub(crate) async fn takes_our_login(&self, scope: &Scope) -> Result<bool, Failure> {
        match self.auth.standing(scope).await {
            Standing::Refused => Ok(false),
            Standing::Taken => Ok(true),
            Standing::Unknown => {
                let operation = format!("logging in for `{}`", scope.repository);
                let call = Call::new(Method::GET, API_ROOT, scope.clone(), operation);
                match self.send(&call).await {
                    Ok(response) => Ok(!is_denial(response.status())),
                    Err(failure) if matches!(failure.error, RegistryError::Denied { .. }) => {
                        Ok(false)
                    }
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// Finds out whether the registry accepts this password.
    async fn try_password(
        &self,
        base: &Url,
        password: &HeaderValue,
        call: &Call,
    ) -> Result<(), Failure> {
        let url = base.join(API_ROOT).unwrap_or_else(|_| base.clone());
        let request = self.wire.request(Method::GET, url)?;
        let response = self
            .wire
            .exchange(request.header(AUTHORIZATION, password))
            .await?;
        if answer::is_transient(response.status()) {
            let unwanted = Unwanted::read(&self.wire, response).await;
            return Err(unwanted.failure(self.registry(), "logging in"));
        }
        let is_taken = !is_denial(response.status());
        self.auth.judged(password.clone(), is_taken).await;
        if is_taken {
            return Ok(());
        }
        let unwanted = Unwanted::read(&self.wire, response).await;
        Err(self.denied(call, unwanted.words()).await.into())
    }

    pub(crate) async fn denied(&self, call: &Call, answer: Option<String>) -> RegistryError {
        RegistryError::Denied {
            registry: self.registry().clone(),
            operation: call.operation.clone(),
            credentials: self.auth.origin(&call.identity).await,
            answer,
        }
    }

    /// The error for an answer that makes no sense.
    pub(crate) fn nonsense(&self, operation: &str, answer: String) -> RegistryError {
        RegistryError::Answer {
            registry: self.registry().clone(),
            operation: operation.to_owned(),
            answer: answer::shown(&answer),
        }
    }

    async fn send_once(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let mut request = self.wire.request(call.method.clone(), url.clone())?;
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match &call.payload {
            // Some proxies require an explicit empty body.
            Payload::Empty if call.method == Method::POST => {
                self.wire.exchange(request.header(CONTENT_LENGTH, 0)).await
            }
            Payload::Empty => self.wire.exchange(request).await,
            Payload::Bytes {
                content_type,
                bytes,
            } => {
                let request = request
                    .header(CONTENT_TYPE, content_type)
                    .body(bytes.clone());
                self.wire.exchange(request).await
            }
            Payload::Stream { length, sent, open } => {
                let request = request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, *length)
                    .body(open());
                self.wire.upload(request, sent).await
            }
        }
    }

    /// The root of the registry's API.
    ///
    /// Always TLS, except on this machine: there one request finds out whether the server uses TLS, else plain HTTP. An
    /// untrusted certificate does not lead to plain HTTP.
    pub(crate) async fn base(&self) -> Result<&Url, Failure> {
        self.base
            .get_or_try_init(|| async {
                let host = endpoint::api_host(self.registry());
                let url = |scheme: &str| {
                    Url::parse(&format!("{scheme}://{host}/")).map_err(|_| {
                        self.nonsense("its name", format!("`{host}` is not a valid host"))
                    })
                };
                let secure = url("https")?;
                if !self.registry().is_loopback() {
                    return Ok(secure);
                }
                let probe = secure.join(API_ROOT).unwrap_or_else(|_| secure.clone());
                match self.wire.speaks_tls(probe).await? {
                    Tls::No => return Ok(url("http")?),
                    Tls::Untrusted => {}
                    Tls::Answers(response) => {
                        if response.status() == StatusCode::UNAUTHORIZED {
                            self.auth.learn(response.headers()).await;
                        }
                    }
                }
                Ok(secure)
            })
            .await
    }
}

fn is_denial(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Retries `work` until it succeeds, fails permanently, or has used up its attempts. `work` must be idempotent.
pub(crate) async fn retrying<T, F, W>(work: W) -> Result<T, RegistryError>
where
    W: FnMut() -> F,
    F: Future<Output = Result<T, Failure>>,
{
    let waits = ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(MAX_RETRIES)
        .with_jitter();
    work.retry(waits)
        .when(|failure: &Failure| failure.retry != Retry::Never)
        .adjust(|failure, wait| wait_after(failure.retry, wait))
        .notify(|failure, wait| {
            tracing::debug!(error = %failure.error, ?wait, "trying again");
        })
        .await
        .map_err(|failure| failure.error)
}

/// The wait before the next attempt; `None` to give up.
fn wait_after(retry: Retry, wait: Option<Duration>) -> Option<Duration> {
    match retry {
        Retry::Never => None,
        Retry::After(None) => wait,
        Retry::After(Some(asked)) => wait
            .filter(|_| asked <= LONGEST_RETRY_AFTER)
            .map(|wait| wait.max(asked)),
    }
}

/// `/v2/fleet/operator/manifests/0.1.0`
pub(crate) fn api_path(repository: &Repository, rest: &str) -> String {
    format!("/v2/{repository}/{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_may_ask_for_patience_within_limits() {
        let seconds = Duration::from_secs;
        let wait = Some(seconds(1));
        assert_eq!(wait_after(Retry::After(None), wait), wait);
        assert_eq!(
            wait_after(Retry::After(Some(seconds(7))), wait),
            Some(seconds(7))
        );
        assert_eq!(wait_after(Retry::After(Some(seconds(0))), wait), wait);
        assert_eq!(wait_after(Retry::After(Some(seconds(3600))), wait), None);
        assert_eq!(
            wait_after(Retry::After(Some(seconds(7))), None),
            None,
            "no tries left"
        );
        assert_eq!(wait_after(Retry::Never, wait), None);
    }
}
