//! A proxy that causes failures in front of a real registry.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use harmony_core::Context;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_registry::testing::{Protection, RegistryPeer};
use harmony_registry::{Environment, OciRegistryClient, RegistrySettings};
use harmony_types::{ImageRef, RegistryHost};
use reqwest::Method;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status, and never reaches the registry.
    Status(u16),
    /// It is answered with 503 and this many seconds to wait; a test that waits for a hanging request continues.
    Busy(u64),
    /// The connection is dropped before it reaches the registry.
    DropBefore,
    /// It reaches the registry; the connection is dropped before the answer.
    DropAfter,
    /// The connection is dropped in the middle of the answer's body.
    Cut,
    /// A bit of the answer's body is flipped.
    Flip,
    /// It is never answered.
    Hang,
    /// It is answered with a redirect to this port of this machine, like registries with an object store do.
    Redirect(u16),
}

/// Which requests fail, and how many of them.
pub(crate) struct Rule {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

/// Forwards to a registry without protection.
pub(crate) struct FaultProxy {
    pub(crate) host: RegistryHost,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: RegistryHost,
    http: reqwest::Client,
    rules: Mutex<Vec<Rule>>,
    hung: Notify,
}

pub(crate) async fn open_peer() -> RegistryPeer {
    RegistryPeer::start_with(Protection::Open)
        .await
        .expect("a registry to test with")
}

impl FaultProxy {
    pub(crate) async fn start(peer: &RegistryPeer, rules: Vec<Rule>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            upstream: peer.host().clone(),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            rules: Mutex::new(rules),
            hung: Notify::new(),
        });
        let router = Router::new()
            .fallback(forward)
            .with_state(Arc::clone(&shared));
        Self {
            host: RegistryHost::parse(address.to_string()).expect("a host"),
            shared,
            task: tokio::spawn(async move {
                axum::serve(listener, router).await.expect("a server");
            }),
        }
    }

    pub(crate) fn client(&self, context: Context) -> OciRegistryClient {
        self.client_with(context, RegistrySettings::new(Environment::default()))
    }

    pub(crate) fn client_with(
        &self,
        context: Context,
        settings: RegistrySettings,
    ) -> OciRegistryClient {
        let location = RegistryLocation::new(self.host.clone(), None).expect("a location");
        OciRegistryClient::new(context, location, settings).expect("a client")
    }

    pub(crate) fn image(&self, rest: &str) -> ImageRef {
        ImageRef::parse(format!("{}/{rest}", self.host)).expect("a reference")
    }

    /// Waits until a request hangs.
    pub(crate) async fn hung(&self) {
        tokio::time::timeout(Duration::from_secs(30), self.shared.hung.notified())
            .await
            .expect("a request that hangs");
    }

    /// The remaining number of faults.
    pub(crate) fn left(&self) -> usize {
        let rules = self.shared.rules.lock().expect("the rules");
        rules.iter().map(|rule| rule.times).sum()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn fault(&self, request: &Request) -> Option<Fault> {
        let path = request.uri().to_string();
        let mut rules = self.rules.lock().expect("the rules");
        let rule = rules.iter_mut().find(|rule| {
            rule.times > 0 && rule.method == *request.method() && path.contains(rule.path)
        })?;
        rule.times -= 1;
        Some(rule.fault)
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let fault = shared.fault(&request);
    match fault {
        Some(Fault::Status(status)) => {
            return Response::builder()
                .status(status)
                .header("retry-after", "0")
                .body(Body::from("made by the test"))
                .expect("an answer");
        }
        Some(Fault::Redirect(port)) => {
            return Response::builder()
                .status(307)
                .header(
                    "location",
                    format!("http://127.0.0.1:{port}/the-blob?signature=s3cret"),
                )
                .body(Body::empty())
                .expect("an answer");
        }
        Some(Fault::Busy(seconds)) => {
            shared.hung.notify_one();
            return Response::builder()
                .status(503)
                .header("retry-after", seconds)
                .body(Body::empty())
                .expect("an answer");
        }
        Some(Fault::DropBefore) => drop_connection(),
        Some(Fault::Hang) => {
            shared.hung.notify_one();
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        drop_connection();
    };
    let url = format!("http://{}{}", shared.upstream, parts.uri);
    let answer = shared
        .http
        .request(parts.method, url)
        .headers(parts.headers)
        .body(body)
        .send()
        .await;
    let Ok(answer) = answer else {
        // The registry is gone.
        drop_connection();
    };
    if fault == Some(Fault::DropAfter) {
        drop_connection();
    }
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    let body = answer.bytes().await.expect("the registry's answer");
    response.body(spoiled(body, fault)).expect("an answer")
}

fn spoiled(body: Bytes, fault: Option<Fault>) -> Body {
    match fault {
        Some(Fault::Cut) => {
            let half = body.slice(..body.len() / 2);
            let broken = Err(std::io::Error::other("cut by the test"));
            Body::from_stream(stream::iter([Ok(half), broken]))
        }
        Some(Fault::Flip) => {
            let mut body = body.to_vec();
            if let Some(byte) = body.last_mut() {
                *byte ^= 1;
            }
            Body::from(body)
        }
        _ => Body::from(body),
    }
}

/// Ends the task of this connection, and so the connection, without the output of a panic.
fn drop_connection() -> ! {
    std::panic::resume_unwind(Box::new("dropped by the test"))
}
