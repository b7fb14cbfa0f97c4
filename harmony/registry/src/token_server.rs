//! Token servers of the distribution specification: asking for a token, and reading what they send.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harmony_core::capability::oci_registry::RegistryError;
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::answer::Unwanted;
use crate::credentials::Found;
use crate::endpoint;
use crate::error::ClientError;
use crate::login_file::Login;
use crate::scope::Scope;
use crate::wire::{Failure, Wire};

/// How long a token holds at least, and when its server does not say (distribution specification, token authentication).
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
/// A token is not used any more when it is this near to its end.
const MARGIN: Duration = Duration::from_secs(10);
const TOKEN_LIMIT: u64 = 1024 * 1024;
/// Redirects of a token server that are followed.
const MAX_HOPS: usize = 3;

/// Where tokens come from.
pub(crate) struct TokenServer<'a> {
    pub(crate) wire: &'a Wire,
    /// The registry.
    pub(crate) base: &'a Url,
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// Why there is no token.
pub(crate) enum NoToken {
    /// The login is wrong.
    Refused(Failure),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for NoToken {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl TokenServer<'_> {
    /// A token for this scope.
    pub(crate) async fn fetch(
        &self,
        found: &Found,
        scope: &Scope,
        operation: &str,
    ) -> Result<Token, NoToken> {
        let Self { wire, base, .. } = self;
        let service = self.service.as_deref();
        let unsafe_target = |target: &Url, reason| ClientError::UnsafeTarget {
            registry: wire.registry().clone(),
            target: endpoint::shown(target),
            reason,
        };
        let mut form = matches!(found.login, Login::IdentityToken(_));
        let mut target = self.realm.clone();
        if !form {
            target.query_pairs_mut().extend_pairs(query(service, scope));
        }
        for _ in 0..=MAX_HOPS {
            endpoint::may_log_in(base, &target).map_err(|reason| unsafe_target(&target, reason))?;
            let request = if form {
                let fields = form_fields(&found.login, service, scope);
                wire.log_in(target.clone())?.form(&fields)
            } else {
                let request = wire.request(Method::GET, target.clone())?;
                match &found.login {
                    Login::Password(credentials) => request.basic_auth(
                        &credentials.user,
                        Some(credentials.password.expose_secret()),
                    ),
                    Login::Anonymous | Login::IdentityToken(_) => request,
                }
            };
            let response = wire.exchange(request).await?;
            match response.status() {
                StatusCode::OK => {
                    let body = wire.body(response, "the token", TOKEN_LIMIT).await?;
                    let no_token = RegistryError::Answer {
                        registry: wire.registry().clone(),
                        operation: "logging in".into(),
                        answer: "its token server sent no token".into(),
                    };
                    return read_token(&body).ok_or_else(|| no_token.into());
                }
                status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                    let words = Unwanted::read(wire, response).await.words();
                    let failure = denied(wire, operation, found, words).into();
                    return Err(match status {
                        StatusCode::UNAUTHORIZED => NoToken::Refused(failure),
                        _ => NoToken::Failed(failure),
                    });
                }
                // Some know the form of OAuth 2 only.
                status
                    if !form && wants_form(status) && matches!(found.login, Login::Password(_)) =>
                {
                    form = true;
                    target = self.realm.clone();
                }
                status if endpoint::follows(status, form) => {
                    let next = endpoint::location(&target, response.headers())
                        .ok_or_else(|| unsafe_target(&target, "it redirects to nowhere"))?;
                    let is_anonymous = matches!(found.login, Login::Anonymous);
                    if !is_anonymous && next.host_str() != target.host_str() {
                        let reason = "a login is not sent on to another host";
                        return Err(unsafe_target(&next, reason).into());
                    }
                    target = next;
                }
                _ => {
                    let unwanted = Unwanted::read(wire, response).await;
                    return Err(unwanted.failure(wire.registry(), "logging in").into());
                }
            }
        }
        Err(unsafe_target(&target, "it redirects in a circle").into())
    }
}

pub(crate) fn denied(
    wire: &Wire,
    operation: &str,
    found: &Found,
    answer: Option<String>,
) -> RegistryError {
    RegistryError::Denied {
        registry: wire.registry().clone(),
        operation: operation.to_owned(),
        credentials: found.origin.clone(),
        answer,
    }
}

fn query(service: Option<&str>, scope: &Scope) -> Vec<(&'static str, String)> {
    let service = service.map(|name| ("service", name.to_owned()));
    let scopes = scope.texts().into_iter().map(|text| ("scope", text));
    service.into_iter().chain(scopes).collect()
}

/// A request of OAuth 2 (RFC 6749, sections 4.3 and 6), as the distribution specification has it.
fn form_fields(login: &Login, service: Option<&str>, scope: &Scope) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("client_id", "harmony".to_owned()),
        ("scope", scope.texts().join(" ")),
    ];
    fields.extend(service.map(|name| ("service", name.to_owned())));
    match login {
        Login::IdentityToken(token) => fields.extend([
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", token.expose_secret().to_owned()),
        ]),
        Login::Password(credentials) => fields.extend([
            ("grant_type", "password".to_owned()),
            ("username", credentials.user.clone()),
            ("password", credentials.password.expose_secret().to_owned()),
        ]),
        Login::Anonymous => {}
    }
    fields
}

/// Whether a token server does not know the request that most of them know.
fn wants_form(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
    )
}

/// Lets somebody do something for a while.
#[derive(Debug)]
pub(crate) struct Token {
    value: SecretString,
    pub(crate) expires: Instant,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        secret_header(&format!("Bearer {}", self.value.expose_secret()))
    }

    /// Whether it allows all of `scope`; `None` if it is not one that can be read (distribution specification, "token
    /// authentication implementation"). Its signature is not checked: the registry does that.
    pub(crate) fn grants(&self, scope: &Scope) -> Option<bool> {
        let claims = self.value.expose_secret().split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        let granted = |action: &str| {
            claims.access.iter().any(|access| {
                access.name == scope.repository.as_str()
                    && access.actions.iter().any(|one| one == action || one == "*")
            })
        };
        Some(scope.actions().iter().all(|action| granted(action)))
    }
}

#[derive(Deserialize)]
struct Claims {
    /// Null or missing if nothing is granted; only tokens of registries have it at all.
    #[serde(deserialize_with = "nothing_if_null")]
    access: Vec<Granted>,
}

fn nothing_if_null<'de, D: Deserializer<'de>>(field: D) -> Result<Vec<Granted>, D::Error> {
    Option::<Vec<Granted>>::deserialize(field).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
struct Granted {
    name: String,
    #[serde(default)]
    actions: Vec<String>,
}

pub(crate) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok()?;
    header.set_sensitive(true);
    Some(header)
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
    // No server may give less; one that writes less means "unknown", and a token that does not hold is fetched again.
    let lifetime = lifetime.unwrap_or_default().max(SHORTEST_LIFETIME);
    Some(Token {
        value: value.to_owned().into(),
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
            (r#"{"token":"good","expires_in":0}"#, good(50.0)),
            (
                r#"{"token":"good","expires_in":"0","issued_at":"yesterday"}"#,
                good(50.0),
            ),
            (
                r#"{"token":"good","expires_in":5,"issued_at":17}"#,
                good(50.0),
            ),
            (
                r#"{"token":"good","issued_at":null,"expires_in":1e9}"#,
                good(3600.0),
            ),
            (r#"{"token":"good","expires_in":1e300}"#, good(50.0)),
            (r#"{"token":"","access_token":""}"#, None),
            (r#"["good"]"#, None),
            ("<html>", None),
        ] {
            assert_eq!(lifetime(body), expected, "{body}");
        }
    }

    #[test]
    fn what_a_token_grants_is_read_from_it() {
        let scope = Scope::push("team/web".parse().expect("a repository"));
        let grants = |claims: &str| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            let body = serde_json::json!({ "token": token }).to_string();
            read_token(body.as_bytes()).expect("a token").grants(&scope)
        };
        let access = |name: &str, actions: &str| {
            format!(
                r#"{{"access":[{{"type":"repository","name":"{name}","actions":[{actions}]}}]}}"#
            )
        };
        assert_eq!(grants(&access("team/web", r#""pull","push""#)), Some(true));
        assert_eq!(grants(&access("team/web", r#""*""#)), Some(true));
        assert_eq!(grants(&access("team/web", r#""pull""#)), Some(false));
        assert_eq!(
            grants(&access("team/other", r#""pull","push""#)),
            Some(false)
        );
        assert_eq!(grants(r#"{"access":null}"#), Some(false));
        assert_eq!(grants(r#"{"sub":"ci"}"#), None);
        assert_eq!(grants("nothing"), None);
        let opaque = read_token(br#"{"token":"opaque"}"#).expect("a token");
        assert_eq!(opaque.grants(&scope), None);
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
