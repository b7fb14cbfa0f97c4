//! Token servers: a real registry that requires tokens, and the test's own token server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::Context;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_registry::testing::{Authority, Protection, RegistryPeer};
use harmony_registry::{Credentials, Environment, RegistrySettings};
use harmony_types::ChartRef;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::fixture::{self, Image};
use crate::proxy::{Fault, FaultProxy, Rule};

const REFRESH_TOKEN: &str = "an-identity-token";

/// Issues tokens for everything to whoever knows the password or the identity token.
struct TokenServer {
    realm: String,
    certificate: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    key: EncodingKey,
    /// The signing certificate, as in the header of a token.
    chain: Vec<String>,
    /// The scopes of each request, in order.
    asked: Mutex<Vec<Vec<String>>>,
    /// How many of the next tokens are created as if an hour ago, although they claim to be valid.
    stale: Mutex<usize>,
}

impl TokenServer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let authority = Authority::new("Token authority").expect("an authority");
        let signer = authority.issue("tokens").expect("a certificate");
        let body: String = signer
            .certificate
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let shared = Arc::new(Shared {
            key: EncodingKey::from_ec_pem(signer.key.as_bytes()).expect("a key"),
            chain: vec![body],
            asked: Mutex::default(),
            stale: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        Self {
            realm: format!("http://{address}/token"),
            certificate: authority.certificate(),
            shared,
            task: tokio::spawn(async move {
                axum::serve(listener, router).await.expect("a server");
            }),
        }
    }

    async fn registry(&self) -> RegistryPeer {
        RegistryPeer::start_with(Protection::Tokens {
            realm: self.realm.clone(),
            certificate: self.certificate.clone(),
        })
        .await
        .expect("a registry to test with")
    }

    fn asked(&self) -> Vec<Vec<String>> {
        self.shared.asked.lock().expect("the list").clone()
    }

    fn next_are_stale(&self, count: usize) {
        *self.shared.stale.lock().expect("the number") = count;
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = if method == Method::POST {
        String::from_utf8(body.to_vec()).expect("a form")
    } else {
        uri.query().unwrap_or_default().to_owned()
    };
    let url = reqwest::Url::parse(&format!("http://x/?{query}")).expect("a query");
    let mut scopes = Vec::new();
    let mut fields = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        if name == "scope" {
            scopes.extend(value.split(' ').map(str::to_owned));
        } else {
            fields.insert(name.into_owned(), value.into_owned());
        }
    }
    assert_eq!(
        fields.get("service").map(String::as_str),
        Some(RegistryPeer::SERVICE)
    );
    let pair = format!("{}:{}", RegistryPeer::USER, RegistryPeer::PASSWORD);
    let basic = format!("Basic {}", STANDARD.encode(pair));
    let by_password = headers
        .get("authorization")
        .is_some_and(|value| *value == basic);
    let by_token = fields.get("refresh_token").map(String::as_str) == Some(REFRESH_TOKEN)
        && fields.get("grant_type").map(String::as_str) == Some("refresh_token");
    if !by_password && !by_token {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    shared.asked.lock().expect("the list").push(scopes.clone());
    let mut stale = shared.stale.lock().expect("the number");
    let made = now() - if *stale > 0 { 3600 } else { 5 };
    *stale = stale.saturating_sub(1);
    json!({"token": token(&shared, &scopes, made), "expires_in": 300})
        .to_string()
        .into_response()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970")
        .as_secs()
}

fn token(shared: &Shared, scopes: &[String], made: u64) -> String {
    let access: Vec<_> = scopes
        .iter()
        .map(|scope| {
            let parts: Vec<&str> = scope.split(':').collect();
            let actions: Vec<&str> = parts[2].split(',').collect();
            json!({"type": parts[0], "name": parts[1], "actions": actions})
        })
        .collect();
    let claims = json!({
        "iss": RegistryPeer::SERVICE, "sub": RegistryPeer::USER, "aud": RegistryPeer::SERVICE,
        "iat": made, "nbf": made, "exp": made + 300, "jti": "1", "access": access,
    });
    let mut header = Header::new(Algorithm::ES256);
    header.x5c = Some(shared.chain.clone());
    jsonwebtoken::encode(&header, &claims, &shared.key).expect("a token")
}

fn by_password(password: &str) -> RegistrySettings {
    RegistrySettings::new(Environment::default())
        .with_credentials(Credentials::new(RegistryPeer::USER, password))
}

#[tokio::test]
async fn one_token_serves_a_push_and_a_mount_asks_for_its_source() {
    let tokens = TokenServer::start().await;
    let peer = tokens.registry().await;
    let client = fixture::client_in(Context::new(), &peer, by_password(RegistryPeer::PASSWORD));
    let image = Image::new(&[fixture::layer(b"a"), fixture::layer(b"b")], None);
    client
        .push_image(&image.built(), &fixture::image_ref(&peer, "fleet/a:0.1.0"))
        .await
        .expect("a push");
    assert_eq!(tokens.asked(), [["repository:fleet/a:pull,push"]]);
    client
        .push_image(&image.built(), &fixture::image_ref(&peer, "fleet/b:0.1.0"))
        .await
        .expect("a push");
    let asked = tokens.asked();
    assert_eq!(
        asked[1..],
        [
            vec!["repository:fleet/b:pull,push"],
            vec!["repository:fleet/b:pull,push", "repository:fleet/a:pull"]
        ]
    );
    let requests = peer.requests().expect("a log");
    let mounted = requests
        .iter()
        .filter(|request| request.path.contains("mount=") && request.status == 201);
    assert_eq!(mounted.count(), 3);
}

#[tokio::test]
async fn a_token_that_the_registry_does_not_take_is_fetched_again() {
    let tokens = TokenServer::start().await;
    let peer = tokens.registry().await;
    tokens.next_are_stale(1);
    let client = fixture::client_in(Context::new(), &peer, by_password(RegistryPeer::PASSWORD));
    let to = fixture::image_ref(&peer, "fleet/a:0.1.0");
    client
        .push_image(&Image::small("x").built(), &to)
        .await
        .expect("a push");
    // A token that is always refused is an error, not an endless loop.
    tokens.next_are_stale(100);
    let client = fixture::client_in(Context::new(), &peer, by_password(RegistryPeer::PASSWORD));
    let error = client.resolve_image(&to).await.expect_err("denied");
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn an_identity_token_of_docker_is_traded_in_also_by_a_plan() {
    let tokens = TokenServer::start().await;
    let peer = tokens.registry().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({"auths": {peer.host().as_str(): {"identitytoken": REFRESH_TOKEN}}});
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a file");
    let path = folder.path().as_os_str().to_owned();
    let environment =
        Environment::from_lookup(|name| (name == "DOCKER_CONFIG").then(|| path.clone()));
    let settings = RegistrySettings::new(environment);
    let to = fixture::image_ref(&peer, "fleet/a:0.1.0");
    let image = Image::small("x");
    let planner = fixture::client_in(Context::new().planning(), &peer, settings.clone());
    planner
        .push_image(&image.built(), &to)
        .await
        .expect("a plan");
    assert_eq!(tokens.asked(), [["repository:fleet/a:pull"]]);
    let client = fixture::client_in(Context::new(), &peer, settings);
    client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
}

#[tokio::test]
async fn a_password_that_the_token_server_refuses_is_denied() {
    let tokens = TokenServer::start().await;
    let peer = tokens.registry().await;
    let client = fixture::client_in(Context::new(), &peer, by_password("wrong"));
    let to = fixture::image_ref(&peer, "fleet/a:0.1.0");
    let error = client
        .push_image(&Image::small("x").built(), &to)
        .await
        .expect_err("denied");
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert_eq!(tokens.asked(), [] as [Vec<String>; 0]);
}

#[tokio::test]
async fn a_token_does_not_go_along_to_an_object_store() {
    let tokens = TokenServer::start().await;
    let peer = tokens.registry().await;
    let chart = fixture::chart("operator", "0.1.0", "hello");
    let settings = by_password(RegistryPeer::PASSWORD);
    fixture::client_in(Context::new(), &peer, settings.clone())
        .push_chart(&chart, &fixture::chart_ref(&peer, "charts/operator:0.1.0"))
        .await
        .expect("a push");

    // The store has the archive, and remembers what it was told.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let told: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let archive = Bytes::copy_from_slice(&chart.archive);
    let store = {
        let told = Arc::clone(&told);
        Router::new().fallback(move |headers: HeaderMap| {
            told.lock().expect("the list").push(headers);
            std::future::ready(archive)
        })
    };
    let store = tokio::spawn(async move { axum::serve(listener, store).await });

    let proxy = FaultProxy::start(
        &peer,
        vec![Rule {
            method: reqwest::Method::GET,
            path: chart.archive_digest.hex().to_owned().leak(),
            times: 1,
            fault: Fault::Redirect(port),
        }],
    )
    .await;
    let from = ChartRef::parse(format!("oci://{}/charts/operator:0.1.0", proxy.host))
        .expect("a reference");
    let pulled = proxy
        .client_with(Context::new(), settings)
        .pull_chart(&from)
        .await;
    store.abort();
    assert_eq!(pulled.expect("a chart"), chart);
    let told = told.lock().expect("the list");
    assert_eq!(told.len(), 1);
    assert!(!told[0].contains_key("authorization"), "{:?}", told[0]);
}
