//! Authentication: Basic, and the token servers of the distribution specification.
//!
//! Nothing is sent before the registry asks: the login is looked up at the first 401 (helpers are slow), and the answer
//! to the challenge goes only to the registry. A password is first tried at `/v2/`: whether it is refused there
//! distinguishes a wrong login from a registry that denies access to what does not exist.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use crate::credentials::{Found, Logins};
use crate::login_file::Login;
use crate::scope::Scope;
use crate::settings::Credentials;
use crate::token_server::{NoToken, Token, TokenServer, denied, secret_header};
use crate::wire::{Failure, Wire};

/// The identity of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// As the registry asks, for this scope.
    Asked(Scope),
    /// Sends user and password immediately: Harbor's API answers 401 without a challenge.
    Password,
    /// Sends this immediately, which is not our login.
    Given(HeaderValue),
}

impl Identity {
    /// A login that is not ours; `None` if it cannot be sent.
    pub(crate) fn given(credentials: &Credentials) -> Option<Self> {
        basic_header(credentials).map(Self::Given)
    }
}

/// The logins of one registry, and its tokens.
#[derive(Debug)]
pub(crate) struct Authenticator {
    logins: Logins,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    challenge: Option<Challenge>,
    tokens: HashMap<Scope, Token>,
    /// The passwords that the registry accepted, in the form in which they are sent.
    taken: HashSet<HeaderValue>,
    /// The logins that the registry or its token server did not take. They are not sent again: some directories lock
    /// accounts early.
    refused: HashSet<HeaderValue>,
}

/// What is known about our login if the registry denies something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is refused, or the registry requires one that we do not have.
    Refused,
    /// It is accepted, or none is required.
    Taken,
    /// The registry must be asked.
    Unknown,
}

/// How a registry wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

impl Authenticator {
    pub(crate) fn new(logins: Logins) -> Self {
        Self {
            logins,
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
            Identity::Password => return Ok(basic(&*self.logins.any().await)),
            Identity::Given(header) => return Ok(Some(header.clone())),
            Identity::Asked(scope) => scope,
        };
        // Held while a token is fetched: the blobs of an image are sent in parallel and share one.
        let mut state = self.state.lock().await;
        let (realm, service) = match state.challenge.clone() {
            None => return Ok(None),
            Some(Challenge::Basic) => return Ok(basic(&*self.found(scope).await)),
            Some(Challenge::Bearer { realm, service }) => (realm, service),
        };
        if let Some(token) = state.tokens.get(scope)
            && token.expires > Instant::now()
        {
            return Ok(token.header());
        }
        let found = self.found(scope).await;
        let secret = secret(&found.login);
        if secret
            .as_ref()
            .is_some_and(|secret| state.refused.contains(secret))
        {
            return Err(denied(wire, operation, &found, None).into());
        }
        let server = TokenServer {
            wire,
            base,
            realm,
            service,
        };
        let token = match server.fetch(&found, scope, operation).await {
            Ok(token) => token,
            Err(NoToken::Refused(failure)) => {
                // A login that cannot read the source of a mount may still work for the rest.
                if scope.mount_from.is_none() {
                    state.refused.extend(secret);
                }
                return Err(failure);
            }
            Err(NoToken::Failed(failure)) => return Err(failure),
        };
        let header = token.header();
        state.tokens.insert(scope.clone(), token);
        Ok(header)
    }

    /// Processes a 401 to a call that carried `sent`; returns true if a retry may succeed.
    pub(crate) async fn challenged(
        &self,
        identity: &Identity,
        sent: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> bool {
        let Identity::Asked(scope) = identity else {
            return false;
        };
        let challenge = read_challenge(headers);
        let mut state = self.state.lock().await;
        // Another call may have fetched a new one meanwhile.
        let is_newest = state
            .tokens
            .get(scope)
            .is_some_and(|token| sent == token.header().as_ref());
        let had_token = match is_newest {
            true => state.tokens.remove(scope).is_some(),
            false => state.tokens.contains_key(scope),
        };
        let helps = match &challenge {
            // The token may have expired in transit, or its key have changed.
            Some(Challenge::Bearer { .. }) => true,
            None => had_token && sent.is_some(),
            // The same password would be refused again.
            Some(Challenge::Basic) => sent.is_none(),
        };
        state.challenge = challenge.or(state.challenge.take());
        helps
    }

    /// Processes a 401 to a call that was made for another purpose.
    pub(crate) async fn learn(&self, headers: &HeaderMap) {
        let mut state = self.state.lock().await;
        state.challenge = state.challenge.take().or_else(|| read_challenge(headers));
    }

    /// What is known of the login in a header.
    pub(crate) async fn trial(&self, identity: &Identity, header: &HeaderValue) -> Standing {
        let state = self.state.lock().await;
        let is_password = matches!(identity, Identity::Asked(_))
            && matches!(state.challenge, Some(Challenge::Basic));
        if state.refused.contains(header) {
            Standing::Refused
        } else if is_password && !state.taken.contains(header) {
            Standing::Unknown
        } else {
            Standing::Taken
        }
    }

    /// Records whether the registry accepts this password.
    pub(crate) async fn judged(&self, password: HeaderValue, is_taken: bool) {
        let mut state = self.state.lock().await;
        if is_taken {
            state.taken.insert(password);
        } else {
            state.refused.insert(password);
        }
    }

    /// What is known about the login for this scope.
    pub(crate) async fn standing(&self, scope: &Scope) -> Standing {
        let found = self.found(scope).await;
        let is_anonymous = matches!(found.login, Login::Anonymous);
        let state = self.state.lock().await;
        if secret(&found.login).is_some_and(|secret| state.refused.contains(&secret)) {
            return Standing::Refused;
        }
        match &state.challenge {
            None => Standing::Taken,
            Some(Challenge::Basic) => match basic(&found) {
                Some(password) if state.taken.contains(&password) => Standing::Taken,
                _ => Standing::Unknown,
            },
            // Token servers issue tokens to everybody, valid for public content.
            Some(Challenge::Bearer { .. }) if is_anonymous => Standing::Refused,
            Some(Challenge::Bearer { .. }) => Standing::Unknown,
        }
    }

    /// Whether the token for this scope allows all of it; `None` without a token, or with one that only the registry can
    /// read.
    pub(crate) async fn is_granted(&self, scope: &Scope) -> Option<bool> {
        self.state.lock().await.tokens.get(scope)?.grants(scope)
    }

    /// Where the login came from, for messages.
    pub(crate) async fn origin(&self, identity: &Identity) -> String {
        let found = match identity {
            Identity::Given(_) => return "the login in the cluster".into(),
            Identity::Password => self.logins.any().await,
            Identity::Asked(scope) => self.found(scope).await,
        };
        found.origin.clone()
    }

    async fn found(&self, scope: &Scope) -> Arc<Found> {
        self.logins.of(&scope.repository).await
    }
}

/// Stands for a login where it is compared; `None` for none.
fn secret(login: &Login) -> Option<HeaderValue> {
    match login {
        Login::Anonymous => None,
        Login::Password(credentials) => basic_header(credentials),
        Login::IdentityToken(token) => secret_header(&format!("token {}", token.expose_secret())),
    }
}

fn basic(found: &Found) -> Option<HeaderValue> {
    match &found.login {
        Login::Password(credentials) => basic_header(credentials),
        Login::Anonymous | Login::IdentityToken(_) => None,
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

/// The challenge to answer: a token if the registry offers one, since the password then goes to the token server.
///
/// Other challenges, such as Kerberos, are ignored.
fn read_challenge(headers: &HeaderMap) -> Option<Challenge> {
    let texts: Vec<_> = headers
        .get_all(WWW_AUTHENTICATE)
        .into_iter()
        .map(|header| String::from_utf8_lossy(header.as_bytes()))
        .collect();
    let offers = |scheme| texts.iter().flat_map(move |text| offers(text, scheme));
    offers("bearer")
        .find_map(read_bearer)
        .or_else(|| offers("basic").next().map(|_| Challenge::Basic))
}

/// Where a header offers a scheme: the rest of the text from each place.
fn offers<'a>(text: &'a str, scheme: &'a str) -> impl Iterator<Item = &'a str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut before = ',';
    text.char_indices().filter_map(move |(at, character)| {
        let can_begin = !is_quoted && matches!(before, ',' | ' ' | '\t');
        match character {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && character == '\\' && !is_escaped;
        before = character;
        let name = text.get(at..at + scheme.len())?;
        let ends = text[at + scheme.len()..].starts_with([' ', '\t', ',']);
        let is_offer = can_begin
            && name.eq_ignore_ascii_case(scheme)
            && (ends || at + scheme.len() == text.len());
        is_offer.then(|| &text[at..])
    })
}

fn read_bearer(offer: &str) -> Option<Challenge> {
    // The parser requires exactly one space.
    let offer = format!("Bearer {}", offer.get("bearer".len()..)?.trim_start());
    let challenge = http_auth::ChallengeParser::new(&offer).next()?.ok()?;
    let parameter = |name: &str| {
        let mut parameters = challenge.params.iter();
        let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    Some(Challenge::Bearer {
        realm: Url::parse(&parameter("realm")?).ok()?,
        service: parameter("service").filter(|service| !service.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            realm: Url::parse("https://auth.example.com/token").expect("a URL"),
            service: Some("r.example.com".into()),
        });
        let text = r#"Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a:pull,push""#;
        assert_eq!(challenge(&[text]), bearer);
        assert_eq!(challenge(&["Basic realm=\"x\"", text]), bearer);
        for all in [
            format!("{text}, Negotiate YII="),
            format!("Custom x=\"Bearer realm=1\", {text}"),
            format!("Basic realm=\"a, b\", {text}"),
            format!("{text}, Basic realm=\"x\""),
            format!("Negotiate, {text}"),
            format!("Negotiate YII=, {text}"),
            format!("NTLM,{text},"),
            format!(", {text}"),
            text.replace("\",", "\" , "),
            text.replace("Bearer realm", "bearer  Realm"),
            text.replace("pull,push", "pull,push repository:b:pull \\\"x"),
            format!("Custom a=1, b=\"\u{e9}\", {text}"),
            format!("Digest realm=x y, {text}"),
        ] {
            assert_eq!(challenge(&[&all]), bearer, "{all}");
            assert_eq!(challenge(&["Basic", &all]), bearer, "{all}");
        }
        let own_query = r#"Bearer realm="https://auth.example.com/token?a=1&b=2",service="s""#;
        let Some(Challenge::Bearer { realm, .. }) = challenge(&[own_query]) else {
            panic!("a challenge");
        };
        assert_eq!(realm.query(), Some("a=1&b=2"));
        assert_eq!(
            challenge(&["basic realm=\"Registry Realm\""]),
            Some(Challenge::Basic)
        );
        assert_eq!(challenge(&["Bearer service=\"no realm\""]), None);
        assert_eq!(challenge(&["Bearer realm=\"not a url\""]), None);
        assert_eq!(challenge(&["\u{7f}"].map(|_| "=,=,\"")), None);
        assert_eq!(challenge(&[]), None);
    }
}
