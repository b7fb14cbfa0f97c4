//! SIGTERM and SIGINT.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM or SIGINT cancels.
///
/// # Errors
/// Signal handlers cannot be installed.
pub fn cancelled_by_signal() -> Result<CancellationToken, SignalError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(SignalError)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SignalError)?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen for signals")]
pub struct SignalError(#[source] io::Error);
