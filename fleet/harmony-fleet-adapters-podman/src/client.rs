//! HTTP on podman's socket. Each request has its own connection.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The time limit of short requests.
pub(crate) const SHORT: Duration = Duration::from_secs(30);

/// An answer that is larger than this is not read to its end.
const LARGEST_ANSWER: usize = 8 << 20;

/// The version of the API that requests use: the first one of podman 4, which later versions serve as well.
const API: &str = "/v4.0.0/libpod";

/// A client of the service on one socket.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: PathBuf,
}

/// A request to podman.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    body: Bytes,
    content_type: Option<&'static str>,
    limit: Duration,
}

impl Call {
    /// A request without a body. `path` starts with `/`, and is already encoded.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: Bytes::new(),
            content_type: None,
            limit: SHORT,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, CallError> {
        self.body = serde_json::to_vec(body)
            .map_err(CallError::Unreadable)?
            .into();
        self.content_type = Some("application/json");
        Ok(self)
    }

    pub(crate) fn bytes(mut self, body: Vec<u8>, content_type: &'static str) -> Self {
        self.body = body.into();
        self.content_type = Some(content_type);
        self
    }

    /// The time for the whole answer; [`SHORT`] by default.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// A request without a good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot connect to {}", socket.display())]
    Unavailable {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the connection to podman broke")]
    Broken(#[source] hyper::Error),
    #[error("podman did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("cannot read the answer of podman")]
    Unreadable(#[source] serde_json::Error),
    #[error("the answer of podman is too long")]
    TooLong,
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
}

impl CallError {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// The body of an answer, as it comes. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    _connection: Connection,
}

impl Stream {
    /// The next piece, or nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(CallError::Broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// The whole answer, if its status is a success or 304 (nothing to do).
    pub(crate) async fn send(&self, call: Call) -> Result<Bytes, CallError> {
        let limit = call.limit;
        let whole = async {
            let stream = self.stream(call).await?;
            let Stream { body, _connection } = stream;
            read(body).await
        };
        timeout(limit, whole)
            .await
            .unwrap_or(Err(CallError::TooSlow(limit)))
    }

    /// The answer, decoded.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, CallError> {
        let body = self.send(call).await?;
        serde_json::from_slice(&body).map_err(CallError::Unreadable)
    }

    /// The answer as a stream, without a time limit.
    pub(crate) async fn stream(&self, call: Call) -> Result<Stream, CallError> {
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|source| CallError::Unavailable {
                    socket: self.socket.clone(),
                    source,
                })?;
        let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(CallError::Broken)?;
        let connection = Connection(tokio::spawn(async move {
            // The request reports the same error.
            let _ = connection.await;
        }));
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() =
            format!("{API}{}", call.path)
                .parse()
                .map_err(|error| CallError::Refused {
                    status: StatusCode::BAD_REQUEST,
                    message: format!("`{}` is not a path: {error}", call.path),
                })?;
        let headers = request.headers_mut();
        headers.insert(HOST, hyper::header::HeaderValue::from_static("podman"));
        if let Some(content_type) = call.content_type {
            headers.insert(
                CONTENT_TYPE,
                hyper::header::HeaderValue::from_static(content_type),
            );
        }
        let answer = sender
            .send_request(request)
            .await
            .map_err(CallError::Broken)?;
        let status = answer.status();
        let body = answer.into_body();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(Stream {
                body,
                _connection: connection,
            });
        }
        let body = read(body).await?;
        Err(CallError::Refused {
            status,
            message: message(&body),
        })
    }
}

async fn read(body: Incoming) -> Result<Bytes, CallError> {
    match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => CallError::Broken(*error),
            Err(_) => CallError::TooLong,
        }),
    }
}

/// Podman's words in the body of a refusal.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice::<Refusal>(body).map_or_else(
        |_| String::from_utf8_lossy(body).trim().to_owned(),
        |refusal| refusal.message,
    )
}

/// A text as a part of a path or of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_encoded() {
        assert_eq!(encoded("r:5000/a@sha256:1"), "r%3A5000%2Fa%40sha256%3A1");
    }

    #[test]
    fn a_refusal_has_podmans_words() {
        let body = br#"{"cause":"c","message":"no such container","response":404}"#;
        assert_eq!(message(body), "no such container");
        assert_eq!(message(b"Not Found\n"), "Not Found");
    }
}
