//! Measures a fleet of simulated devices, and prints each figure beside its goal.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use harmony_fleet_daemon::{LogFormat, exit_code, init_logs};
use harmony_fleet_simulator::bench;
use harmony_fleet_simulator::figure::table;
use harmony_fleet_simulator::simulation::Plan;

/// Run the real agent many times beside nats-server and the operator, and measure
///
/// Exits with 1 if a goal is missed.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench fleet")]
struct Args {
    /// The number of devices
    #[arg(long, default_value_t = 2000)]
    devices: usize,
    /// How often the deployment of all devices is changed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long the bytes of idle devices are counted; less than two heartbeats, 120 s, is not exact
    #[arg(long, default_value_t = 120)]
    idle_seconds: u64,
    /// How long nats-server is gone
    #[arg(long, default_value_t = 10)]
    gone_seconds: u64,
    /// Decides in which order things happen
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    init_logs(LogFormat::Lines);
    exit_code(measure(Args::parse()).await)
}

async fn measure(args: Args) -> anyhow::Result<ExitCode> {
    let figures = bench::run(&Plan {
        devices: args.devices,
        rounds: args.rounds,
        idle: Duration::from_secs(args.idle_seconds),
        gone: Duration::from_secs(args.gone_seconds),
        resync: Duration::from_secs(60),
        seed: args.seed,
    })
    .await?;
    println!("{} devices:\n\n{}", args.devices, table(&figures));
    Ok(if figures.iter().all(|it| it.is_reached) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
