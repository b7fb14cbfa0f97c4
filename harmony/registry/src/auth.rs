//! Proving who we are: Basic, and the token servers of the distribution specification.
//!
//! Nothing is sent before the registry asks: the login is looked up at the first 401 (at most once per registry,
//! since helpers are slow), and the answer to the challenge goes to the registry alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_types::Repository;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OnceCell};

use crate::answer;
use crate::credentials::{self, Found, Login};
use crate::endpoint;
use crate::error::ClientError;
use crate::settings::{Credentials, RegistrySettings};
use crate::wire::{Failure, Wire};

/// How long a token holds when its server does not say (distribution specification, token authentication).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// A token is not used any more when it is this near to its end.
const MARGIN: Duration = Duration::from_secs(10);
const TOKEN_LIMIT: u64 = 1024 * 1024;

/// What a call needs to be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) repository: Repository,
    pub(crate) access: Access,
    /// Mounting a blob reads the repository that has it.
    pub(crate) mount_from: Option<Repository>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Scope {
    pub(crate) fn pull(repository: Repository) -> Self {
        Self {
            repository,
            access: Access::Pull,
            mount_from: None,
        }
    }

    pub(crate) fn push(repository: Repository) -> Self {
        Self {
            repository,
            access: Access::Push,
            mount_from: None,
        }
    }

    /// As the token server reads them.
    fn texts(&self) -> Vec<String> {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let mut texts = vec![format!("repository:{}:{actions}", self.repository)];
        if let Some(source) = &self.mount_from {
            texts.push(format!("repository:{source}:pull"));
        }
        texts
    }
}

/// Who a call speaks as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// As the registry asks, for this scope.
    Asked(Scope),
    /// With user and password at once: the API of Harbor answers 401 without saying what it wants.
    Password,
}

/// The login of one registry, and the tokens got for it.
#[derive(Debug)]
pub(crate) struct Authenticator {
    settings: RegistrySettings,
    /// Where our repositories are, for logins by path.
    path: Option<Repository>,
    found: OnceCell<Found>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    challenge: Option<Challenge>,
    tokens: HashMap<Scope, Token>,
    /// The login was sent and not taken.
    is_refused: bool,
}

/// How a registry wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: Url,
        service: Option<String>,
        /// The token that was sent is good, but not for this (RFC 6750, section 3.1).
        is_scope_too_small: bool,
    },
}

#[derive(Debug)]
struct Token {
    value: SecretString,
    expires: Instant,
}

impl Authenticator {
    pub(crate) fn new(settings: RegistrySettings, path: Option<Repository>) -> Self {
        Self {
            settings,
            path,
            found: OnceCell::new(),
            state: Mutex::default(),
        }
    }

    /// The value of the `Authorization` header, as far as the registry has asked for one.
    pub(crate) async fn authorization(
        &self,
        wire: &Wire,
        base: &Url,
        identity: &Identity,
        operation: &str,
    ) -> Result<Option<HeaderValue>, Failure> {
        let scope = match identity {
            Identity::Password => return Ok(self.basic(wire).await),
            Identity::Asked(scope) => scope,
        };
        // Held while a token is fetched: the blobs of an image are sent at once, and share one.
        let mut state = self.state.lock().await;
        let (realm, service) = match state.challenge.clone() {
            None => return Ok(None),
            Some(Challenge::Basic) => return Ok(self.basic(wire).await),
            Some(Challenge::Bearer { realm, service, .. }) => (realm, service),
        };
        if let Some(token) = state.tokens.get(scope)
            && token.expires > Instant::now()
        {
            return Ok(secret_header(&format!(
                "Bearer {}",
                token.value.expose_secret()
            )));
        }
        let token = self
            .fetch(wire, base, realm, service.as_deref(), scope, operation)
            .await
            .inspect_err(|failure| {
                state.is_refused |= matches!(failure.error, RegistryError::Denied { .. });
            })?;
        let header = secret_header(&format!("Bearer {}", token.value.expose_secret()));
        state.tokens.insert(scope.clone(), token);
        Ok(header)
    }

    /// Takes in a 401 to a call that carried `sent`; true when another try can do better.
    pub(crate) async fn challenged(
        &self,
        identity: &Identity,
        sent: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> bool {
        let Identity::Asked(scope) = identity else {
            return false;
        };
        let Some(challenge) = read_challenge(headers) else {
            return false;
        };
        let mut state = self.state.lock().await;
        let helps = match &challenge {
            // The same password would be refused again.
            Challenge::Basic => sent.is_none(),
            // The token may have expired on the way, or its key have changed.
            Challenge::Bearer { .. } => true,
        };
        state.tokens.remove(scope);
        state.challenge = Some(challenge);
        helps
    }

    /// Takes in the headers of a 401 that stays one. Without a challenge it says nothing of the login.
    pub(crate) async fn refused(&self, headers: &HeaderMap) {
        let is_refused = match read_challenge(headers) {
            Some(Challenge::Basic) => true,
            Some(Challenge::Bearer {
                is_scope_too_small, ..
            }) => !is_scope_too_small,
            None => false,
        };
        self.state.lock().await.is_refused |= is_refused;
    }

    /// See [`Transport::takes_our_login`](crate::transport::Transport::takes_our_login).
    pub(crate) async fn is_taken(&self, wire: &Wire) -> bool {
        let (is_asked, is_refused) = {
            let state = self.state.lock().await;
            (state.challenge.is_some(), state.is_refused)
        };
        let is_anonymous = matches!(self.found(wire).await.login, Login::Anonymous);
        !is_refused && (!is_asked || !is_anonymous)
    }

    /// Where the login came from, for messages.
    pub(crate) async fn origin(&self, wire: &Wire) -> String {
        self.found(wire).await.origin.clone()
    }

    async fn found(&self, wire: &Wire) -> &Found {
        self.found
            .get_or_init(|| credentials::find(wire.registry(), self.path.as_ref(), &self.settings))
            .await
    }

    async fn basic(&self, wire: &Wire) -> Option<HeaderValue> {
        match &self.found(wire).await.login {
            Login::Password(credentials) => basic_header(credentials),
            Login::Anonymous | Login::IdentityToken(_) => None,
        }
    }

    async fn fetch(
        &self,
        wire: &Wire,
        base: &Url,
        realm: Url,
        service: Option<&str>,
        scope: &Scope,
        operation: &str,
    ) -> Result<Token, Failure> {
        endpoint::may_log_in(base, &realm).map_err(|reason| ClientError::UnsafeTarget {
            registry: wire.registry().clone(),
            target: endpoint::shown(&realm),
            reason,
        })?;
        let service: Vec<(&str, &str)> =
            service.map(|name| ("service", name)).into_iter().collect();
        let scopes = scope.texts();
        let request = match &self.found(wire).await.login {
            Login::IdentityToken(token) => wire.log_in(realm).form(
                &[
                    service.as_slice(),
                    &[
                        ("grant_type", "refresh_token"),
                        ("client_id", "harmony"),
                        ("scope", &scopes.join(" ")),
                        ("refresh_token", token.expose_secret()),
                    ],
                ]
                .concat(),
            ),
            login => {
                let scopes: Vec<_> = scopes.iter().map(|text| ("scope", text.as_str())).collect();
                let request = wire
                    .request(Method::GET, realm)?
                    .query(&[service, scopes].concat());
                match login {
                    Login::Password(credentials) => request.basic_auth(
                        &credentials.user,
                        Some(credentials.password.expose_secret()),
                    ),
                    Login::Anonymous | Login::IdentityToken(_) => request,
                }
            }
        };
        let response = wire.exchange(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(RegistryError::Denied {
                    registry: wire.registry().clone(),
                    operation: operation.to_owned(),
                    credentials: self.origin(wire).await,
                }
                .into());
            }
            _ => return Err(answer::failure(wire, response, "logging in").await),
        }
        let body = wire.body(response, "the token", TOKEN_LIMIT).await?;
        read_token(&body).ok_or_else(|| {
            RegistryError::Answer {
                registry: wire.registry().clone(),
                operation: "logging in".into(),
                answer: "its token server sent no token".into(),
            }
            .into()
        })
    }
}

fn basic_header(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = format!(
        "{}:{}",
        credentials.user,
        credentials.password.expose_secret()
    );
    secret_header(&format!("Basic {}", STANDARD.encode(pair)))
}

fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The challenge to answer: a token where the registry offers one, since a password then goes to its token server.
fn read_challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = header.to_str() else { continue };
        for challenge in http_auth::ChallengeParser::new(text).map_while(Result::ok) {
            let parameter = |name: &str| {
                challenge
                    .params
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            } else if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameter("realm").and_then(|realm| Url::parse(&realm).ok())
            {
                return Some(Challenge::Bearer {
                    realm,
                    service: parameter("service"),
                    is_scope_too_small: parameter("error").as_deref() == Some("insufficient_scope"),
                });
            }
        }
    }
    basic
}

/// Token servers do not agree on the form: the token has one of two names, and the other may be there and empty; the
/// lifetime is a number or a text with one.
fn read_token(body: &[u8]) -> Option<Token> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| answer[name].as_str().filter(|text| !text.trim().is_empty());
    let value = text("token").or_else(|| text("access_token"))?;
    let seconds = match &answer["expires_in"] {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        number => number.as_f64(),
    };
    let lifetime = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME);
    Some(Token {
        value: value.to_owned().into(),
        // A server that gives less than the margin gets asked for every call.
        expires: Instant::now()
            + lifetime
                .saturating_sub(MARGIN)
                .min(Duration::from_secs(3600)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_their_servers_write_them() {
        let lifetime = |body: &str| {
            let token = read_token(body.as_bytes())?;
            let left = token.expires.saturating_duration_since(Instant::now());
            Some((
                token.value.expose_secret().to_owned(),
                left.as_secs_f64().round(),
            ))
        };
        let good = |seconds: f64| Some(("good".to_owned(), seconds));
        for (body, expected) in [
            (r#"{"token":"good","expires_in":300}"#, good(290.0)),
            (
                r#"{"token":"","access_token":"good","expires_in":300}"#,
                good(290.0),
            ),
            (r#"{"token":null,"access_token":"good"}"#, good(50.0)),
            (r#"{"token":"good","expires_in":"300"}"#, good(290.0)),
            (r#"{"token":"good","expires_in":300.9}"#, good(291.0)),
            (r#"{"token":"good","expires_in":null}"#, good(50.0)),
            (r#"{"token":"good","expires_in":"soon"}"#, good(50.0)),
            (r#"{"token":"good","expires_in":-1}"#, good(50.0)),
            (r#"{"token":"good","expires_in":1e300}"#, good(50.0)),
            (r#"{"token":"","access_token":""}"#, None),
            (r#"["good"]"#, None),
            ("<html>", None),
        ] {
            assert_eq!(lifetime(body), expected, "{body}");
        }
    }

    fn challenge(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_str(value).expect("a header"),
            );
        }
        read_challenge(&headers)
    }

    #[test]
    fn challenges_are_read_and_tokens_preferred() {
        let bearer = Some(Challenge::Bearer {
            is_scope_too_small: false,
            realm: Url::parse("https://auth.example.com/token").expect("a URL"),
            service: Some("r.example.com".into()),
        });
        let text = r#"Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a:pull,push""#;
        assert_eq!(challenge(&[text]), bearer);
        assert_eq!(challenge(&["Basic realm=\"x\"", text]), bearer);
        assert_eq!(
            challenge(&["basic realm=\"Registry Realm\""]),
            Some(Challenge::Basic)
        );
        assert_eq!(challenge(&["Bearer service=\"no realm\""]), None);
        assert_eq!(challenge(&["Bearer realm=\"not a url\""]), None);
        assert_eq!(challenge(&["\u{7f}"].map(|_| "=,=,\"")), None);
        assert_eq!(challenge(&[]), None);
    }

    #[test]
    fn a_mount_asks_for_its_source_too() {
        let mut scope = Scope::push(Repository::parse("a/b").expect("a repository"));
        scope.mount_from = Some(Repository::parse("c").expect("a repository"));
        assert_eq!(
            scope.texts(),
            ["repository:a/b:pull,push", "repository:c:pull"]
        );
    }

    #[test]
    fn tokens_come_under_two_names() {
        for body in [
            r#"{"token":"t"}"#,
            r#"{"access_token":"t","expires_in":300}"#,
            r#"{"token":"t","access_token":"other"}"#,
        ] {
            let token = read_token(body.as_bytes()).expect(body);
            assert_eq!(token.value.expose_secret(), "t");
        }
        assert!(read_token(b"{}").is_none());
        assert!(read_token(b"<html>").is_none());
    }
}
