//! A small registry that keeps what it is sent, and a script of the test that answers instead where it wants to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::diagnostic::Report;
use harmony_oci::sha256;
use harmony_registry::{Credentials, Environment, OciRegistryClient, RegistrySettings};
use harmony_types::{ChartRef, ImageRef};
use tokio::task::JoinHandle;

use crate::fixture::Image;

pub(crate) const USER: &str = "trial";
pub(crate) const PASSWORD: &str = "s3cret";

/// One request.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path without a query.
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, Vec<String>>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many requests with the same method and path came before it.
    pub(crate) before: usize,
    /// Host and port of this registry.
    pub(crate) host: String,
}

impl Asked {
    pub(crate) fn is(&self, method: Method, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        let values = self.query.get(name);
        values
            .and_then(|values| values.first())
            .map_or("", String::as_str)
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get(header::AUTHORIZATION)?.to_str().ok()
    }

    /// Whether it carries [`USER`] and [`PASSWORD`].
    pub(crate) fn has_password(&self) -> bool {
        let pair = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        self.authorization() == Some(&format!("Basic {pair}"))
    }
}

type Script = dyn Fn(&Asked) -> Option<Response> + Send + Sync;

pub(crate) struct Scripted {
    pub(crate) host: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    host: String,
    script: Box<Script>,
    content: Mutex<BTreeMap<String, Bytes>>,
    seen: Mutex<Vec<String>>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    pub(crate) async fn start(
        script: impl Fn(&Asked) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            host: host.clone(),
            script: Box::new(script),
            content: Mutex::default(),
            seen: Mutex::default(),
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves");
        });
        Self { host, shared, task }
    }

    /// Every request so far, as `PUT /v2/a/manifests/1`, with `+` for one that carried a login.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().expect("the list").clone()
    }

    /// Those that carried a login.
    pub(crate) fn with_login(&self) -> Vec<String> {
        let mut seen = self.seen();
        seen.retain(|request| request.ends_with('+'));
        seen
    }

    pub(crate) fn anonymous(&self) -> OciRegistryClient {
        self.client(RegistrySettings::new(Environment::default()))
    }

    /// With [`USER`] and this password.
    pub(crate) fn with_password(&self, password: &str) -> OciRegistryClient {
        let settings = RegistrySettings::new(Environment::default());
        self.client(settings.with_credentials(Credentials::new(USER, password)))
    }

    pub(crate) fn client(&self, settings: RegistrySettings) -> OciRegistryClient {
        let location = RegistryLocation::new(self.host.parse().expect("a host"), None);
        OciRegistryClient::new(Context::new(), location.expect("a location"), settings)
            .expect("a client")
    }

    pub(crate) fn image(&self) -> ImageRef {
        format!("{}/team/app:1.0.0", self.host)
            .parse()
            .expect("a name")
    }

    pub(crate) fn chart(&self) -> ChartRef {
        format!("oci://{}/team/app:1.0.0", self.host)
            .parse()
            .expect("a name")
    }

    /// Pushes a small image.
    pub(crate) async fn push(
        &self,
        client: &OciRegistryClient,
    ) -> Result<Published, RegistryError> {
        let image = Image::small(&"a layer of some size ".repeat(50));
        client.push_image(&image.built(), &self.image()).await
    }

    /// The error as a person sees it, with a fixed name for this registry.
    pub(crate) fn rendered(&self, error: &RegistryError) -> String {
        rendered(error).replace(&self.host, "HOST")
    }
}

/// Code, message, what was seen and what to do.
pub(crate) fn rendered(error: &RegistryError) -> String {
    let report = Report::of(error);
    let mut lines = vec![format!("error[{}]: {}", report.code, report.message)];
    lines.extend(report.evidence.iter().map(|fact| format!("seen: {fact}")));
    lines.extend(report.hints.iter().map(|hint| format!("help: {hint}")));
    lines.join("\n")
}

/// An error of the distribution specification.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Response {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    (
        StatusCode::from_u16(status).expect("a status"),
        body.to_string(),
    )
        .into_response()
}

/// A 401 with this challenge.
pub(crate) fn challenge(text: &str) -> Response {
    let mut response = refuse(401, "UNAUTHORIZED", "authentication required");
    let value = text.parse().expect("a header");
    response
        .headers_mut()
        .append(header::WWW_AUTHENTICATE, value);
    response
}

pub(crate) fn redirect(status: u16, to: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::LOCATION, to.to_owned())]).into_response()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let url = reqwest::Url::parse(&format!("http://x{uri}")).expect("a URL");
    for (name, value) in url.query_pairs() {
        query.entry(name.into()).or_default().push(value.into());
    }
    let mark = if headers.contains_key(header::AUTHORIZATION) {
        " +"
    } else {
        ""
    };
    let before = {
        let request = format!("{method} {}", uri.path());
        let mut seen = shared.seen.lock().expect("the list");
        let same = |line: &&String| line.trim_end_matches(" +") == request;
        let before = seen.iter().filter(same).count();
        seen.push(format!("{request}{mark}"));
        before
    };
    let asked = Asked {
        method,
        path: uri.path().to_owned(),
        query,
        headers,
        body,
        before,
        host: shared.host.clone(),
    };
    match (shared.script)(&asked) {
        Some(response) => response,
        None => shared.honest(&asked),
    }
}

impl Shared {
    fn honest(&self, asked: &Asked) -> Response {
        let mut content = self.content.lock().expect("the content");
        let path = asked.path.as_str();
        if path == "/v2/" {
            return StatusCode::OK.into_response();
        }
        let (repository, upload) = match path.split_once("/blobs/uploads/") {
            Some((repository, _)) => (repository, true),
            None => ("", false),
        };
        match asked.method {
            Method::POST if upload => {
                redirect(202, &format!("{repository}/blobs/uploads/session?state=a"))
            }
            Method::PUT if upload => {
                let digest = sha256(&asked.body).to_string();
                if asked.field("digest") != digest {
                    return refuse(400, "DIGEST_INVALID", "provided digest did not match");
                }
                content.insert(format!("{repository}/blobs/{digest}"), asked.body.clone());
                StatusCode::CREATED.into_response()
            }
            Method::PUT => {
                let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
                let digest = sha256(&asked.body);
                content.insert(format!("{folder}/{digest}"), asked.body.clone());
                content.insert(path.to_owned(), asked.body.clone());
                StatusCode::CREATED.into_response()
            }
            _ => match content.get(path) {
                Some(found) => part(asked, found),
                None => refuse(404, "MANIFEST_UNKNOWN", "not here"),
            },
        }
    }
}

/// All of it, or the part that is asked for.
fn part(asked: &Asked, found: &Bytes) -> Response {
    let mut headers = HeaderMap::new();
    let digest = sha256(found).to_string().parse().expect("a header");
    headers.insert("docker-content-digest", digest);
    let range = asked
        .headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let start: Option<usize> = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    match start {
        Some(start) if start < found.len() => {
            let range = format!("bytes {start}-{}/{}", found.len() - 1, found.len());
            headers.insert(header::CONTENT_RANGE, range.parse().expect("a header"));
            (StatusCode::PARTIAL_CONTENT, headers, found.slice(start..)).into_response()
        }
        Some(_) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        None => (headers, found.clone()).into_response(),
    }
}
