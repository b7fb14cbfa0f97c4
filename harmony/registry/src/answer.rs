//! What an answer that is not the hoped-for one means.

use std::time::Duration;

use harmony_core::capability::oci_registry::RegistryError;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::wire::{Failure, Retry, Wire};

/// How much of an error's body is read, and how much of it is shown.
const BODY_LIMIT: u64 = 64 * 1024;
const SHOWN_LIMIT: usize = 300;
/// `ENOSPC`, which distribution passes on as a bare number.
const NO_SPACE: u64 = 28;

/// The failure that an answer stands for. Who was denied is not known here: see `Transport::rejection`.
pub(crate) async fn failure(wire: &Wire, response: Response, operation: &str) -> Failure {
    let status = response.status();
    let retry = if is_transient(status) {
        Retry::After(retry_after(response.headers()))
    } else {
        Retry::Never
    };
    let body = wire
        .body(response, "the error", BODY_LIMIT)
        .await
        .unwrap_or_default();
    let registry = wire.registry().clone();
    let error = if is_full(status, &body) {
        RegistryError::NoSpace {
            registry,
            what: operation.to_owned(),
        }
    } else {
        RegistryError::Answer {
            registry,
            operation: operation.to_owned(),
            answer: text(status, &body),
        }
    };
    Failure { error, retry }
}

/// Answers of a registry that is busy or restarting.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    // The other form, a date, would need the clocks to agree.
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// The form of errors in the distribution specification; codes are open, since products add their own.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: Value,
}

/// Whether the registry ran out of room: of disk, or of the project's quota.
fn is_full(status: StatusCode, body: &[u8]) -> bool {
    if status == StatusCode::INSUFFICIENT_STORAGE {
        return true;
    }
    let text = String::from_utf8_lossy(body).to_lowercase();
    let says = [
        "no space left on device",
        "exceed the configured upper limit",
    ];
    says.iter().any(|phrase| text.contains(phrase))
        || serde_json::from_slice::<Errors>(body).is_ok_and(|answer| {
            answer
                .errors
                .iter()
                .any(|error| has_error_number(&error.detail, NO_SPACE))
        })
}

/// Looks for `"Err": 28` at any depth of a detail.
fn has_error_number(detail: &Value, number: u64) -> bool {
    match detail {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (name == "Err" && value.as_u64() == Some(number)) || has_error_number(value, number)
        }),
        Value::Array(values) => values.iter().any(|value| has_error_number(value, number)),
        _ => false,
    }
}

/// `404 Not Found: NAME_UNKNOWN: repository name not known to registry`
pub(crate) fn text(status: StatusCode, body: &[u8]) -> String {
    let messages = match serde_json::from_slice::<Errors>(body) {
        Ok(answer) => answer
            .errors
            .iter()
            .map(|error| format!("{}: {}", error.code, error.message))
            .collect::<Vec<_>>()
            .join("; "),
        // A page for browsers, of a proxy that answered instead of the registry.
        Err(_) if body.trim_ascii_start().starts_with(b"<") => String::new(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let shown: String = messages
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .take(SHOWN_LIMIT)
        .collect();
    if shown.is_empty() {
        status.to_string()
    } else {
        format!("{status}: {shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_specification_are_shown_as_one_line() {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"x"}}]}"#;
        assert_eq!(
            text(StatusCode::NOT_FOUND, body),
            "404 Not Found: NAME_UNKNOWN: repository name not known to registry"
        );
        assert_eq!(
            text(StatusCode::BAD_GATEWAY, b"<html>\n  <h1>oops\x1b[31m</h1>"),
            "502 Bad Gateway"
        );
        assert_eq!(
            text(StatusCode::BAD_GATEWAY, b"oops \x1b[31m\n no upstream"),
            "502 Bad Gateway: oops [31m no upstream"
        );
        assert_eq!(text(StatusCode::BAD_GATEWAY, b""), "502 Bad Gateway");
        assert!(text(StatusCode::BAD_GATEWAY, &[b'x'; 5000]).len() < 400);
    }

    #[test]
    fn a_full_disk_and_a_full_quota_are_no_space() {
        let distribution = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}}]}"#;
        assert!(is_full(StatusCode::INTERNAL_SERVER_ERROR, distribution));
        let harbor = br#"{"errors":[{"code":"DENIED","message":"adding 1.0 MiB of storage resource, which when updated to current usage of 9.9 MiB will exceed the configured upper limit of 10.0 MiB."}]}"#;
        assert!(is_full(StatusCode::FORBIDDEN, harbor));
        assert!(is_full(StatusCode::INSUFFICIENT_STORAGE, b""));
        let other = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Enclosed":{"Op":"write","Err":5}}}]}"#;
        assert!(!is_full(StatusCode::INTERNAL_SERVER_ERROR, other));
    }

    #[test]
    fn a_time_to_wait_is_read_in_seconds() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "7".parse().expect("a header"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert(
            RETRY_AFTER,
            "Wed, 21 Oct 2026 07:28:00 GMT".parse().expect("a header"),
        );
        assert_eq!(retry_after(&headers), None);
    }
}
