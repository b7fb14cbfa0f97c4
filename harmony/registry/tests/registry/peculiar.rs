//! Registries that answer differently than distribution does, imitated by a small server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::diagnostic::Report;
use harmony_core::outcome::Action;
use harmony_oci::sha256;
use harmony_registry::{Environment, OciRegistryClient, RegistrySettings};
use harmony_types::ImageRef;
use tokio::task::JoinHandle;

use crate::fixture::Image;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Denies access to what does not exist yet.
    Denies(StatusCode),
    /// A tag is readable only at the third attempt.
    ForgetsTags,
    /// A proxy in front of it accepts only small requests.
    LimitsBodies,
    /// Repositories must be created elsewhere.
    MakesNoRepository,
}

struct Peculiar {
    habit: Habit,
    content: Mutex<BTreeMap<String, Bytes>>,
    hidden: Mutex<u32>,
}

struct Peer {
    host: String,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    async fn start(habit: Habit) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Peculiar {
            habit,
            content: Mutex::default(),
            hidden: Mutex::new(2),
        });
        let app = Router::new().fallback(answer).with_state(state);
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves");
        });
        Self {
            host: format!("127.0.0.1:{port}"),
            task,
        }
    }

    fn client(&self) -> OciRegistryClient {
        let host = self.host.parse().expect("a host");
        let location = RegistryLocation::new(host, None).expect("a location");
        let settings = RegistrySettings::new(Environment::default());
        OciRegistryClient::new(Context::new(), location, settings).expect("a client")
    }

    fn image(&self) -> ImageRef {
        format!("{}/team/app:1.0.0", self.host)
            .parse()
            .expect("a name")
    }
}

async fn answer(
    State(registry): State<Arc<Peculiar>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let content = |key: &str| registry.content.lock().expect("a map").get(key).cloned();
    let keep = |key: String| {
        registry
            .content
            .lock()
            .expect("a map")
            .insert(key, body.clone())
    };
    let at = |place: String| {
        let mut headers = HeaderMap::new();
        headers.insert("location", place.parse().expect("a header"));
        headers
    };
    if path == "/v2/" {
        return StatusCode::OK.into_response();
    }
    if path.contains("/blobs/uploads") {
        let digest = uri
            .query()
            .and_then(|query| query.split_once("digest=sha256%3A"));
        return match (method, digest) {
            _ if registry.habit == Habit::MakesNoRepository => (
                StatusCode::NOT_FOUND,
                r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#,
            )
                .into_response(),
            (Method::POST, _) => (
                StatusCode::ACCEPTED,
                at("/v2/team/app/blobs/uploads/1?state=a".into()),
            )
                .into_response(),
            (Method::PUT, Some((_, digest))) => {
                if registry.habit == Habit::LimitsBodies && body.len() > 64 {
                    return (StatusCode::PAYLOAD_TOO_LARGE, "<html><h1>413</h1></html>")
                        .into_response();
                }
                keep(format!("/v2/team/app/blobs/sha256:{digest}"));
                StatusCode::CREATED.into_response()
            }
            _ => StatusCode::BAD_REQUEST.into_response(),
        };
    }
    if method == Method::PUT {
        keep(path);
        keep(format!("/v2/team/app/manifests/{}", sha256(&body)));
        return StatusCode::CREATED.into_response();
    }
    let is_tag = path.ends_with("/1.0.0");
    let mut found = content(&path);
    if found.is_some() && is_tag && registry.habit == Habit::ForgetsTags {
        let mut hidden = registry.hidden.lock().expect("a count");
        if *hidden > 0 {
            *hidden -= 1;
            found = None;
        }
    }
    match (found, registry.habit) {
        (Some(found), _) => {
            let mut headers = HeaderMap::new();
            let digest = sha256(&found).to_string().parse().expect("a header");
            headers.insert("docker-content-digest", digest);
            (headers, found).into_response()
        }
        (None, Habit::Denies(status)) => status.into_response(),
        (None, _) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn push(peer: &Peer) -> Result<Action, RegistryError> {
    let image = Image::small(&"a layer of some size ".repeat(20));
    let published = peer
        .client()
        .push_image(&image.built(), &peer.image())
        .await?;
    Ok(published.change.action)
}

#[tokio::test]
async fn what_a_registry_denies_until_the_first_push_is_not_there_yet() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let peer = Peer::start(Habit::Denies(status)).await;
        let resolved = peer.client().resolve_image(&peer.image()).await;
        assert_eq!(resolved.expect("unknown"), None, "{status}");
        assert_eq!(
            push(&peer).await.expect("a push"),
            Action::Create,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_tag_that_appears_after_a_moment_is_waited_for() {
    let peer = Peer::start(Habit::ForgetsTags).await;
    assert_eq!(push(&peer).await.expect("a push"), Action::Create);
}

#[tokio::test]
async fn what_has_to_be_set_up_elsewhere_is_named() {
    for (habit, code, hint) in [
        (Habit::LimitsBodies, "H0240", "client_max_body_size"),
        (
            Habit::MakesNoRepository,
            "H0241",
            "create the repository `team/app`",
        ),
    ] {
        let peer = Peer::start(habit).await;
        let error = push(&peer).await.expect_err("refused");
        let report = Report::of(&error);
        assert_eq!(report.code.to_string(), code, "{report:?}");
        assert!(report.hints[0].contains(hint), "{report:?}");
        assert!(!format!("{report:?}").contains("<html>"), "{report:?}");
    }
}
