//! The meaning of unexpected answers.

use std::time::Duration;

use bytes::Bytes;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_types::{RegistryHost, printable};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ClientError;
use crate::wire::{Failure, Retry, Wire};

/// How much of an error's body is read, and how much of a remote message is shown.
const BODY_LIMIT: u64 = 64 * 1024;
const SHOWN_LIMIT: usize = 300;
/// `ENOSPC`, which distribution returns as a bare number.
const NO_SPACE: u64 = 28;
/// A registry that asks for a longer wait than this counts as failed.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// An unexpected answer.
#[derive(Debug)]
pub(crate) struct Unwanted {
    pub(crate) status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Unwanted {
    /// Reads as much of the body as an error needs.
    pub(crate) async fn read(wire: &Wire, response: Response) -> Self {
        Self {
            status: response.status(),
            retry_after: retry_after(response.headers(), Timestamp::now()),
            body: wire
                .beginning(response, BODY_LIMIT)
                .await
                .unwrap_or_default(),
        }
    }

    /// The error for this answer. This does not know which login was denied: see `Transport::rejection`.
    pub(crate) fn failure(&self, registry: &RegistryHost, operation: &str) -> Failure {
        let registry = registry.clone();
        let error = if self.is_full() {
            RegistryError::NoSpace {
                registry,
                what: operation.to_owned(),
                answer: self.text(),
            }
        } else if self.status == StatusCode::TOO_MANY_REQUESTS {
            ClientError::TooManyRequests {
                registry,
                wait: self.retry_after,
                answer: self.text(),
            }
            .into()
        } else {
            RegistryError::Answer {
                registry,
                operation: operation.to_owned(),
                answer: self.text(),
            }
        };
        let retry = if is_transient(self.status) {
            Retry::After(self.retry_after)
        } else {
            Retry::Never
        };
        Failure { error, retry }
    }

    /// Whether the registry returned one of these codes of the distribution specification.
    pub(crate) fn has_code(&self, codes: &[&str]) -> bool {
        serde_json::from_slice::<Errors>(&self.body).is_ok_and(|answer| {
            let mut errors = answer.errors.iter();
            errors.any(|error| codes.contains(&error.code.as_str()))
        })
    }

    /// Whether the registry is out of space: disk, or project quota.
    pub(crate) fn is_full(&self) -> bool {
        is_full(self.status, &self.body)
    }

    /// Whether a rule of the registry protects the tag: Harbor answers 412, others 400 or 409.
    pub(crate) fn is_immutable(&self) -> bool {
        self.status.is_client_error()
            && String::from_utf8_lossy(&self.body)
                .to_lowercase()
                .contains("immutable")
    }

    /// `404 Not Found: NAME_UNKNOWN: repository name not known to registry`
    pub(crate) fn text(&self) -> String {
        text(self.status, &self.body)
    }

    /// As [`text`](Self::text); `None` when the status says it all.
    pub(crate) fn words(&self) -> Option<String> {
        Some(self.text()).filter(|text| *text != self.status.to_string())
    }
}

/// A message of a registry, for errors.
pub(crate) fn shown(text: &str) -> String {
    printable::excerpt(text, SHOWN_LIMIT)
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

/// Seconds, or an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let wait = date.duration_since(now).as_secs();
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// The error format of the distribution specification. Codes are open, since products add their own.
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

fn is_full(status: StatusCode, body: &[u8]) -> bool {
    if status == StatusCode::INSUFFICIENT_STORAGE {
        return true;
    }
    // Request quotas are something else.
    if status == StatusCode::TOO_MANY_REQUESTS {
        return false;
    }
    let text = String::from_utf8_lossy(body).to_lowercase();
    let says = [
        "no space left on device",
        "exceed the configured upper limit",
        "insufficient storage",
        "storage limit",
    ];
    let quota = ["exceed", "reached", "full", "limit"];
    let is_quota = !is_transient(status)
        && !text.contains("request")
        && text.contains("quota")
        && quota.iter().any(|word| text.contains(word));
    says.iter().any(|phrase| text.contains(phrase))
        || is_quota
        || serde_json::from_slice::<Errors>(body).is_ok_and(|answer| {
            answer
                .errors
                .iter()
                .any(|error| has_error_number(&error.detail, NO_SPACE))
        })
}

/// Searches a detail for `"Err": 28` at any depth.
fn has_error_number(detail: &Value, number: u64) -> bool {
    match detail {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (name == "Err" && value.as_u64() == Some(number)) || has_error_number(value, number)
        }),
        Value::Array(values) => values.iter().any(|value| has_error_number(value, number)),
        _ => false,
    }
}

fn text(status: StatusCode, body: &[u8]) -> String {
    let messages = match serde_json::from_slice::<Errors>(body) {
        Ok(answer) => answer
            .errors
            .iter()
            .map(|error| match error.message.as_str() {
                "" => error.code.clone(),
                message => format!("{}: {message}", error.code),
            })
            .collect::<Vec<_>>()
            .join("; "),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    // An HTML page of a proxy that answered instead of the registry.
    let is_page = messages
        .trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t'])
        .starts_with('<')
        || messages.to_lowercase().contains("<html");
    match shown(&messages) {
        _ if is_page => status.to_string(),
        nothing if nothing.is_empty() => status.to_string(),
        messages => format!("{status}: {messages}"),
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
            "502 Bad Gateway: oops no upstream"
        );
        assert_eq!(text(StatusCode::BAD_GATEWAY, b""), "502 Bad Gateway");
        for page in [
            "\u{feff}<!DOCTYPE html><p>",
            "Error: <html><body>",
            r#"{"errors":[{"code":"DENIED","message":"<html>"}]}"#,
        ] {
            assert_eq!(
                text(StatusCode::BAD_GATEWAY, page.as_bytes()),
                "502 Bad Gateway",
                "{page}"
            );
        }
        assert_eq!(
            text(StatusCode::FORBIDDEN, br#"{"errors":[{"code":"DENIED"}]}"#),
            "403 Forbidden: DENIED"
        );
        assert!(text(StatusCode::BAD_GATEWAY, &[b'x'; 5000]).len() < 400);
    }

    #[test]
    fn a_full_disk_and_a_full_quota_are_no_space() {
        let distribution = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}}]}"#;
        assert!(is_full(StatusCode::INTERNAL_SERVER_ERROR, distribution));
        let harbor = br#"{"errors":[{"code":"DENIED","message":"adding 1.0 MiB of storage resource, which when updated to current usage of 9.9 MiB will exceed the configured upper limit of 10.0 MiB."}]}"#;
        assert!(is_full(StatusCode::FORBIDDEN, harbor));
        assert!(is_full(StatusCode::INSUFFICIENT_STORAGE, b""));
        let others = [
            br#"{"errors":[{"code":"DENIED","message":"quota exceeded for the project"}]}"#
                .as_slice(),
            b"The storage quota of this namespace has been reached",
            b"<html>Storage limit</html>",
        ];
        for body in others {
            assert!(is_full(StatusCode::FORBIDDEN, body));
        }
        let requests = b"Quota exceeded for quota metric 'Requests per minute'";
        for status in [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::FORBIDDEN,
        ] {
            assert!(!is_full(status, requests), "{status}");
        }
        let other = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Enclosed":{"Op":"write","Err":5}}}]}"#;
        assert!(!is_full(StatusCode::INTERNAL_SERVER_ERROR, other));
    }

    #[test]
    fn a_time_to_wait_is_read_in_seconds_and_as_a_date() {
        let now = "2026-10-21T07:27:00Z".parse().expect("a time");
        let wait = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header"))]);
            retry_after(&headers, now)
        };
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            wait("Wed, 21 Oct 2026 07:28:00 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(wait("Wed, 21 Oct 2026 07:26:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
