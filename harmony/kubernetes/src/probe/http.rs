//! Sends one GET over an open connection.

use std::time::Duration;

use bytes::Bytes;
use harmony_core::verify::{ProbeFailure, ServicePort};
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::route::Stream;
use super::seen;

/// How much of a body is searched.
const BODY_LIMIT: usize = 1024 * 1024;

/// How much of a body is shown.
const BODY_SHOWN: usize = 300;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Passes if the answer has this status and, if given, contains this text.
pub(super) async fn check(
    stream: Stream,
    service: &ServicePort,
    path: &str,
    status: u16,
    contains: Option<&str>,
) -> Result<(), ProbeFailure> {
    let answer = tokio::time::timeout(TIMEOUT, get(stream, service, path)).await;
    let no_answer = |_| ProbeFailure::new(format!("no answer within {} s", TIMEOUT.as_secs()));
    let (seen_status, body) = answer.map_err(no_answer)??;
    judge(seen_status, &body, status, contains)
}

fn judge(
    seen_status: u16,
    body: &[u8],
    status: u16,
    contains: Option<&str>,
) -> Result<(), ProbeFailure> {
    let text = String::from_utf8_lossy(body);
    let shown = || {
        let shown: String = text.chars().take(BODY_SHOWN).collect();
        if shown.trim().is_empty() {
            Vec::new()
        } else {
            vec![format!("body: {}", shown.trim())]
        }
    };
    if seen_status != status {
        return Err(
            ProbeFailure::new(format!("status {seen_status} instead of {status}"))
                .with_details(shown()),
        );
    }
    match contains {
        Some(wanted) if !text.contains(wanted) => Err(ProbeFailure::new(format!(
            "the body does not contain `{wanted}`"
        ))
        .with_details(shown())),
        _ => Ok(()),
    }
}

async fn get(
    mut stream: Stream,
    service: &ServicePort,
    path: &str,
) -> Result<(u16, Bytes), ProbeFailure> {
    let request = Request::get(path)
        .header(header::HOST, service.to_string())
        .header(header::USER_AGENT, "harmony")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(seen)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(&mut stream))
        .await
        .map_err(seen)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT)
            .collect()
            .await;
        // A body that is too long still counts as an answer, but is not searched.
        Ok::<_, hyper::Error>((
            status,
            body.map(http_body_util::Collected::to_bytes)
                .unwrap_or_default(),
        ))
    };
    let (answered, _closed) = tokio::join!(exchange, connection);
    match answered {
        Ok(answer) => Ok(answer),
        Err(error) if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            Err(stream.why_it_ended(None).await)
        }
        Err(error) => Err(seen(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_compared() {
        assert_eq!(judge(200, b"all good", 200, Some("good")), Ok(()));
        assert_eq!(judge(204, b"", 204, None), Ok(()));
        let failure = judge(503, b"no backend", 200, None).unwrap_err();
        assert_eq!(failure.seen, "status 503 instead of 200");
        assert_eq!(failure.details, ["body: no backend"]);
        let failure = judge(200, b"all bad", 200, Some("good")).unwrap_err();
        assert_eq!(failure.seen, "the body does not contain `good`");
    }
}
