//! The two streams of a command: data on stdout, all else on stderr. Colours are left out where they are unwanted
//! (`NO_COLOR`, not a terminal).

use std::io::{self, Write};

use harmony_types::printable;

/// Writes data. A reader that went away (`| head`) is not an error of ours.
pub(crate) fn data(text: &str) -> Result<(), RunError> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout
        .write_all(printable::guarded(text).as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(RunError::Output(error)),
        _ => Ok(()),
    }
}

/// Writes what a person should see. Where stderr is closed there is nobody to tell, so its errors are dropped.
pub(crate) fn message(text: &str) {
    if text.is_empty() {
        return;
    }
    let mut stderr = anstream::stderr().lock();
    let _ = stderr
        .write_all(printable::guarded(text).as_bytes())
        .and_then(|()| stderr.flush());
}

/// The result of a command could not be told to anybody.
///
/// What the run itself came to is always rendered and turned into the exit code; this is all that is left.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Stdout takes no data, for example because the disk is full.
    #[error("cannot write to stdout")]
    Output(#[source] io::Error),
    /// A result does not serialise.
    #[error("a result does not serialise to JSON")]
    Json(#[source] serde_json::Error),
    /// Signals cannot be listened to, so that a run could not be stopped in good order.
    #[error("cannot listen to Ctrl-C")]
    Signals(#[source] io::Error),
}
