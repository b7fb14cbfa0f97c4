//! The main function of the agent: settings, logs, signals; everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use harmony_fleet_agent::{Args, main_with};
use harmony_fleet_daemon::{LogFormat, exit_code, init_logs};

// One thread is enough for a device and uses the least memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Must come before the first connection.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    init_logs(LogFormat::Lines);
    exit_code(main_with(Args::parse()).await.map_err(anyhow::Error::from))
}
