//! Images.

use std::time::Duration;

use harmony_fleet_domain::RuntimeError;
use harmony_reconciler_contracts::{FailureReason, PinnedImage};
use serde::Deserialize;
use tokio::time::timeout;

use crate::client::{Call, CallError, Client, encoded};
use crate::error::{failure, from_call};
use crate::words;

/// The time after which a pull without progress is given up.
const IDLE: Duration = Duration::from_secs(120);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    #[serde(default)]
    architecture: String,
}

/// A line of the stream of a pull.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    error: Option<String>,
}

/// Pulls the image, unless it is there. `architecture` is that of this device, in podman's words.
pub(crate) async fn ensure(
    client: &Client,
    image: &PinnedImage,
    architecture: &str,
    tls_verify: Option<bool>,
) -> Result<(), RuntimeError> {
    let local = if let Some(local) = find(client, image).await? {
        local
    } else {
        pull(client, image, tls_verify).await?;
        find(client, image).await?.ok_or_else(|| {
            failure(
                FailureReason::PodmanRefused,
                "podman pulled the image, but does not find it by its digest",
            )
        })?
    };
    if local.architecture == architecture || local.architecture.is_empty() {
        return Ok(());
    }
    Err(failure(
        FailureReason::WrongArchitecture,
        &format!(
            "{image} is for {}, and this device is {architecture}",
            local.architecture
        ),
    ))
}

async fn find(client: &Client, image: &PinnedImage) -> Result<Option<Image>, RuntimeError> {
    let path = format!("/images/{}/json", encoded(image.as_str()));
    match client.read(Call::get(path)).await {
        Ok(image) => Ok(Some(image)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(from_call(error, words::of_container)),
    }
}

async fn pull(
    client: &Client,
    image: &PinnedImage,
    tls_verify: Option<bool>,
) -> Result<(), RuntimeError> {
    let verify = tls_verify.map_or(String::new(), |verify| format!("&tlsVerify={verify}"));
    let path = format!("/images/pull?reference={}{verify}", encoded(image.as_str()));
    let meaning = |message: &str| words::of_pull(message, image.as_str());
    let failed = |error| from_call(error, meaning);
    let idle = |_| failed(CallError::TooSlow(IDLE));
    let mut stream = timeout(IDLE, client.stream(Call::post(path)))
        .await
        .map_err(idle)?
        .map_err(failed)?;
    let mut lines = Lines::default();
    while let Some(piece) = timeout(IDLE, stream.next())
        .await
        .map_err(idle)?
        .map_err(failed)?
    {
        if let Some(error) = lines.error_in(&piece) {
            return Err(failure(meaning(&error), &error));
        }
    }
    match lines.error_in(b"\n") {
        Some(error) => Err(failure(meaning(&error), &error)),
        None => Ok(()),
    }
}

/// The lines of a stream that arrives in pieces.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The first error in the lines that this piece completes.
    fn error_in(&mut self, piece: &[u8]) -> Option<String> {
        self.0.extend_from_slice(piece);
        let end = self.0.iter().rposition(|byte| *byte == b'\n')? + 1;
        let complete: Vec<u8> = self.0.drain(..end).collect();
        complete
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
            .find_map(|line| line.error.filter(|error| !error.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_may_come_in_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.error_in(b"{\"stream\":\"Trying\"}\n{\"err"), None);
        assert_eq!(lines.error_in(b"or\":\"no\"}"), None);
        assert_eq!(lines.error_in(b"\n"), Some("no".into()));
    }
}
