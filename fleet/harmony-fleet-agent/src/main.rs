//! The agent's program: settings, logs, signals; all else is in the library.

use std::process::ExitCode;

use clap::Parser;
use harmony_fleet_agent::{Args, main_with};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

// One thread is enough for one device, and costs the least memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    // Before anything opens a connection.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let wanted = std::env::var("RUST_LOG")
        .ok()
        .and_then(|text| text.parse().ok());
    let filter: Targets = match wanted {
        Some(filter) => filter,
        None => "info,async_nats=warn".parse()?,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
    Ok(main_with(Args::parse()).await?)
}
