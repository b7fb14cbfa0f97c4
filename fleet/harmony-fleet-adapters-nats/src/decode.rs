//! Reading what peers sent: nothing large is parsed, and no error repeats a large text.

use harmony_reconciler_contracts::Reason;
use serde::de::DeserializeOwned;

/// The largest message of one device. The largest valid one, a registration with all its labels, has about 5 kB.
pub(crate) const DEVICE_MESSAGE: usize = 16 * 1024;

/// The largest page of a list, which is also the largest message that NATS carries by default.
pub(crate) const LIST_PAGE: usize = 1024 * 1024;

/// Reads a message of at most `limit` bytes.
pub(crate) fn decode<T: DeserializeOwned>(payload: &[u8], limit: usize) -> Result<T, DecodeError> {
    if payload.len() > limit {
        return Err(DecodeError::TooLarge {
            bytes: payload.len(),
            limit,
        });
    }
    serde_json::from_slice(payload).map_err(|error| DecodeError::Malformed {
        // The parser's own message holds the text that it did not expect.
        reason: error.to_string().into(),
    })
}

/// A message that is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the message has {bytes} bytes, at most {limit} are read")]
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
