//! The main function of the program; everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use harmony_fleet::{Cli, main_with};
use harmony_types::printable::Events;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    // Must come before the first connection.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Events::lines(std::io::stderr()))
        .init();
    main_with(Cli::parse()).await
}
