//! Logs for whoever looks into a run: off unless `RUST_LOG` asks for them, on stderr.

use std::io;

use harmony_types::printable;
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
        .with_writer(|| Guarded(io::stderr()))
        .try_init();
}

/// A stream of whole log lines; drops what a terminal would obey, but for colours.
struct Guarded<W>(W);

impl<W: io::Write> io::Write for Guarded<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = printable::guarded(&String::from_utf8_lossy(line));
        self.0.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Guarded;

    #[test]
    fn a_log_line_keeps_its_colours_and_nothing_else_that_a_terminal_obeys() {
        let mut written = Vec::new();
        Guarded(&mut written)
            .write_all("\u{1b}[32mINFO\u{1b}[0m a\rb\u{9b}2Jc\u{202e}d\n".as_bytes())
            .expect("a line");
        assert_eq!(
            String::from_utf8_lossy(&written),
            "\u{1b}[32mINFO\u{1b}[0m ab2Jcd\n"
        );
    }
}
