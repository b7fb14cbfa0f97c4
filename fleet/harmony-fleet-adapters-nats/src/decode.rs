//! Decoding messages from peers: large messages are not parsed, and errors do not repeat large texts.

use harmony_reconciler_contracts::Reason;
use serde::de::DeserializeOwned;

/// The maximum size of a message from a device. The largest valid one, a registration with all labels, has about 5 kB.
pub(crate) const DEVICE_MESSAGE: usize = 16 * 1024;

/// The maximum size of a page of a list, which is the default limit of NATS messages.
pub(crate) const LIST_PAGE: usize = 1024 * 1024;

/// The maximum size of a desired state, which is the default limit of NATS messages.
pub(crate) const DESIRED_STATE: usize = 1024 * 1024;

/// The maximum size of an observed state. The bucket refuses larger ones.
pub(crate) const OBSERVED_STATE: usize = 256 * 1024;

/// Decodes a message of at most `limit` bytes.
pub(crate) fn decode<T: DeserializeOwned>(payload: &[u8], limit: usize) -> Result<T, DecodeError> {
    if payload.len() > limit {
        return Err(DecodeError::TooLarge {
            bytes: payload.len(),
            limit,
        });
    }
    serde_json::from_slice(payload).map_err(|error| DecodeError::Malformed {
        // The error of the parser contains the unexpected text.
        reason: error.to_string().into(),
    })
}

/// The reason why a message was not decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the message has {bytes} bytes, but the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("{reason}")]
    Malformed { reason: Reason },
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_reconciler_contracts::Registration;

    #[test]
    fn a_large_text_neither_is_parsed_nor_comes_back_in_the_error() {
        for (text, part) in [("x".repeat(900_000), "900"), ("x".repeat(9_000), "invalid")] {
            let message = format!(r#"{{"boot":"b","heartbeat_seconds":"{text}","info":{{}}}}"#);
            let error = decode::<Registration>(message.as_bytes(), DEVICE_MESSAGE).unwrap_err();
            let shown = error.to_string();
            assert!(shown.len() < 600 && shown.contains(part), "{shown}");
        }
    }
}
