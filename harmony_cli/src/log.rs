//! Logs for whoever looks into a run: off unless `RUST_LOG` asks for them, on stderr.

use std::io;

use harmony_types::printable::Events;
use tracing_subscriber::EnvFilter;

/// Installs the log writer of this process; [`run`](crate::run()) does it by itself. A writer that is installed already
/// is left alone.
///
/// `RUST_LOG` says what is written, as in `RUST_LOG=harmony=debug`. While it is set, progress is shown as lines: bars
/// and logs would write over one another.
pub fn init() {
    let Ok(filter) = EnvFilter::try_from_default_env() else {
        return;
    };
    // an error says that the program has a writer of its own
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Events::lines(io::stderr()))
        .try_init();
}
