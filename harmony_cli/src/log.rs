//! Log output for debugging: disabled unless `RUST_LOG` is set, and written to stderr.

use std::io;

use harmony_types::printable::Events;
use tracing_subscriber::EnvFilter;

/// Installs the log writer of this process; [`run`](crate::run()) does this automatically. Does not replace an existing
/// log writer.
///
/// `RUST_LOG` selects what is logged, for example `RUST_LOG=harmony=debug`. While it is set, progress is shown as
/// lines, because bars and log lines would overwrite each other.
pub fn init() {
    let Ok(filter) = EnvFilter::try_from_default_env() else {
        return;
    };
    // an error means that the program already has a log writer
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Events::lines(io::stderr()))
        .try_init();
}
