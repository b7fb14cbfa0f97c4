//! The last lines of the output.

use harmony_fleet_domain::{ContainerId, RuntimeError};

use crate::client::{Call, Client, encoded};
use crate::error::from_call;
use crate::{inspect, words};

/// The longest line, in characters; the rest is cut off.
const LONGEST_LINE: usize = 500;

/// The last lines of the output of a container of ours, oldest first.
pub(crate) async fn last_lines(
    client: &Client,
    id: &ContainerId,
    lines: usize,
) -> Result<Vec<String>, RuntimeError> {
    inspect::existing(client, id).await?;
    if lines == 0 {
        return Ok(Vec::new());
    }
    let id = encoded(&id.0);
    let call = Call::get(format!(
        "/containers/{id}/logs?stdout=true&stderr=true&tail={lines}"
    ));
    let body = client
        .send(call)
        .await
        .map_err(|error| from_call(error, words::of_container))?;
    let mut all = lines_of(&body);
    Ok(all.split_off(all.len().saturating_sub(lines)))
}

/// The lines of a stream of frames: which output it is, three zeros, the length in four bytes, and the text.
fn lines_of(mut stream: &[u8]) -> Vec<String> {
    let mut text = Vec::new();
    while let Some((header, rest)) = stream.split_first_chunk::<8>() {
        let [_, _, _, _, length @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let (content, rest) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(content);
        stream = rest;
    }
    String::from_utf8_lossy(&text)
        .lines()
        .map(|line| line.chars().take(LONGEST_LINE).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], length.as_slice(), text.as_bytes()].concat()
    }

    #[test]
    fn frames_of_both_outputs_are_lines() {
        let stream = [frame(1, "one\n"), frame(2, "tw"), frame(2, "o\n")].concat();
        assert_eq!(lines_of(&stream), ["one", "two"]);
        assert_eq!(lines_of(&stream[..stream.len() - 2]), ["one", "tw"]);
        assert_eq!(lines_of(&frame(1, &"é".repeat(600)))[0], "é".repeat(500));
        assert!(lines_of(b"").is_empty());
    }
}
