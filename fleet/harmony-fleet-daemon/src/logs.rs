//! Logs on stderr, and the final error of a program.
//!
//! They contain text from others (a server's message, an operator's reason), and people read them on terminals.

use std::fmt::Debug;
use std::io::{self, Write as _};
use std::process::ExitCode;

use harmony_types::printable::{self, Events};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// The format of a program's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of text, for the journal of a machine.
    Lines,
    /// JSON, for the logs of a cluster.
    Json,
}

/// Sets up logging. `RUST_LOG` is the filter, for example `harmony_fleet=debug`; the default is `info`.
pub fn init_logs(format: LogFormat) {
    let wanted = std::env::var("RUST_LOG").ok();
    let filter: Targets = wanted
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| "info,async_nats=warn".parse().expect("a valid filter"));
    let layer = tracing_subscriber::fmt::layer();
    let layer = match format {
        LogFormat::Lines => layer
            .with_ansi(false)
            .with_writer(|| Events::lines(io::stderr()))
            .boxed(),
        LogFormat::Json => layer
            .json()
            .with_writer(|| Events::json(io::stderr()))
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .init();
}

/// Writes the final error of a program, with its causes.
pub fn exit_code<E: Debug>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        let shown = printable::text(&format!("{error:?}"));
        // Without stderr there is nobody left to tell.
        let _ = writeln!(io::stderr(), "Error: {shown}");
        ExitCode::FAILURE
    })
}
