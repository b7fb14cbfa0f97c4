//! Output: data on stdout, everything else on stderr. Colors are disabled if they are not wanted (`NO_COLOR`, not a
//! terminal).

use std::io::{self, Write};

use harmony_types::printable;

/// Writes data. A reader that closes the pipe (`| head`) is not an error.
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

/// Writes a message for the user. If stderr is closed, errors are ignored because nobody can see them.
pub(crate) fn message(text: &str) {
    if text.is_empty() {
        return;
    }
    let mut stderr = anstream::stderr().lock();
    let _ = stderr
        .write_all(printable::guarded(text).as_bytes())
        .and_then(|()| stderr.flush());
}

/// The result of a command could not be written.
///
/// The errors of the run itself are always rendered and determine the exit code. These are the only other errors.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Writing to stdout failed, for example because the disk is full.
    #[error("cannot write to stdout")]
    Output(#[source] io::Error),
    #[error("cannot serialize a result to JSON")]
    Json(#[source] serde_json::Error),
    /// Signal handlers cannot be installed, so the run could not be stopped cleanly.
    #[error("cannot listen for Ctrl-C")]
    Signals(#[source] io::Error),
}
