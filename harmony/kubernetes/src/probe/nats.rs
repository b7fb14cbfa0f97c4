//! Checks the greeting of a NATS server.
//!
//! The server speaks first, with a line `INFO {...}`. Without authentication it must also answer `PING` with `PONG`.
//! With authentication the greeting is enough, because we do not know its credentials.

use std::time::Duration;

use harmony_core::verify::ProbeFailure;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::route::Stream;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The part of the greeting that decides how to continue.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Info {
    auth_required: bool,
    tls_required: bool,
}

/// Passes if the server sends its greeting and, without authentication, answers a ping.
pub(super) async fn check(stream: Stream) -> Result<(), ProbeFailure> {
    tokio::time::timeout(TIMEOUT, converse(stream))
        .await
        .unwrap_or_else(|_| {
            Err(ProbeFailure::new(format!(
                "no answer within {} s",
                TIMEOUT.as_secs()
            )))
        })
}

async fn converse(stream: Stream) -> Result<(), ProbeFailure> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let read = stream.read_line(&mut line).await;
    if !matches!(read, Ok(count) if count > 0) {
        return Err(stream.get_mut().why_it_ended(read.err()).await);
    }
    let info = parse_greeting(&line)?;
    if info.auth_required || info.tls_required {
        return Ok(());
    }
    let hello = b"CONNECT {\"verbose\":false,\"name\":\"harmony\"}\r\nPING\r\n";
    let failed =
        |error: std::io::Error| ProbeFailure::new(format!("the connection failed: {error}"));
    stream.write_all(hello).await.map_err(failed)?;
    loop {
        line.clear();
        if stream.read_line(&mut line).await.map_err(failed)? == 0 {
            return Err(ProbeFailure::new(
                "it closed the connection after the greeting",
            ));
        }
        match line.split_whitespace().next() {
            Some("PONG") => return Ok(()),
            Some("-ERR") => {
                return Err(ProbeFailure::new(format!("it answered `{}`", line.trim())));
            }
            _ => {}
        }
    }
}

fn parse_greeting(line: &str) -> Result<Info, ProbeFailure> {
    let json = line.strip_prefix("INFO ").map(str::trim);
    json.and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| {
            let shown: String = line.chars().take(80).collect();
            ProbeFailure::new("it does not respond like a NATS server")
                .with_details(vec![format!("it sent `{}`", shown.trim())])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_tells_whether_anybody_is_let_in() {
        let open =
            parse_greeting("INFO {\"server_id\":\"A\",\"max_payload\":1048576}\r\n").unwrap();
        assert_eq!(open, Info::default());
        let closed = parse_greeting("INFO {\"auth_required\":true}\r\n").unwrap();
        assert!(closed.auth_required);
        assert!(parse_greeting("HTTP/1.1 400 Bad Request\r\n").is_err());
        assert!(parse_greeting("INFO nonsense\r\n").is_err());
    }
}
