//! Waits for events of podman.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::client::{Call, CallError, Client, encoded};
use crate::labels::DEPLOYMENT;

/// The shortest time between two hints.
const SHORTEST: Duration = Duration::from_millis(100);
/// With a stream of events, but without an event, a hint comes this often.
const SELDOM: Duration = Duration::from_secs(60);
/// Without a stream of events, a hint comes this often.
const POLL: Duration = Duration::from_secs(10);
/// The time until the next connection after one that ended.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the events in the background, from the first call on.
#[derive(Debug)]
pub(crate) struct Changes {
    happened: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reader: Option<Reader>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            happened: Arc::new(Notify::new()),
            state: Mutex::new(State::default()),
        }
    }

    /// Returns after an event, or after a time in which there may have been one. Several events within a short time are one.
    pub(crate) async fn wait(&self, client: &Client) {
        let mut state = self.state.lock().await;
        if state.reader.is_none() {
            let reader = read(
                Client {
                    socket: client.socket.clone(),
                },
                Arc::clone(&self.happened),
            );
            state.reader = Some(Reader(tokio::spawn(reader)));
        }
        // The timeout is for a podman that accepts the request, but has no events.
        let _ = timeout(SELDOM, self.happened.notified()).await;
        if let Some(last) = state.last {
            sleep_until(last + SHORTEST).await;
        }
        state.last = Some(Instant::now());
    }
}

/// Reads the stream of events, for ever.
async fn read(client: Client, happened: Arc<Notify>) {
    loop {
        let pause = match stream(&client, &happened).await {
            Ok(()) => AGAIN,
            Err(error) => {
                tracing::debug!("no events of podman: {error}");
                POLL
            }
        };
        sleep(pause).await;
        // Changes may have been missed.
        happened.notify_one();
    }
}

/// One connection, until it ends.
async fn stream(client: &Client, happened: &Notify) -> Result<(), CallError> {
    // Podman 4.3 does not find labels by their key alone, so ours are picked out here.
    let filters =
        r#"{"type":["container"],"event":["create","start","died","remove","pause","unpause"]}"#;
    let call = Call::get(format!("/events?stream=true&filters={}", encoded(filters)));
    let mut events = client.stream(call).await?;
    loop {
        match events.next().await {
            Ok(Some(event)) => {
                if may_be_ours(&event) {
                    happened.notify_one();
                }
            }
            // Podman ended, or was restarted.
            Ok(None) | Err(_) => return Ok(()),
        }
    }
}

/// Whether a piece of the stream is about a container with our label. An event has all labels of its container. A piece
/// that is not a whole event counts.
fn may_be_ours(piece: &[u8]) -> bool {
    let is_whole = piece.ends_with(b"\n");
    let label = DEPLOYMENT.as_bytes();
    !is_whole || piece.windows(label.len()).any(|part| part == label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_other_containers_are_no_hint() {
        let ours =
            br#"{"status":"start","Actor":{"Attributes":{"io.harmony.fleet.deployment":"shop"}}}"#;
        assert!(may_be_ours(ours));
        assert!(may_be_ours(&[ours, b"\n".as_slice()].concat()));
        assert!(!may_be_ours(b"{\"status\":\"start\",\"Actor\":{}}\n"));
    }
}
