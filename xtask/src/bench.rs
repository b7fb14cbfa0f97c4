//! Measures what the goals are about, and prints each figure beside its goal.

use clap::Parser as _;
use clap::builder::PossibleValuesParser;

use crate::{command, peers};

/// A bench, which gets the rest of the command line.
type Bench = fn(&[String]) -> anyhow::Result<()>;

/// The benches by name.
const BENCHES: &[(&str, Bench)] = &[("agent", agent), ("fleet", fleet)];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_parser = PossibleValuesParser::new(BENCHES.iter().map(|(name, _)| *name)))]
    name: String,
    /// The options of this bench
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut found = BENCHES.iter().filter(|(name, _)| *name == args.name);
    match found.next() {
        Some((_, bench)) => bench(&args.options),
        None => anyhow::bail!("there is no bench `{}`", args.name),
    }
}

/// Many simulated devices beside nats-server and the operator.
fn fleet(options: &[String]) -> anyhow::Result<()> {
    let mut command = command::cargo(&["run", "--release", "-p", "harmony-fleet-simulator", "--"]);
    let (variable, server) = peers::nats_server()?;
    command.args(options).env(variable, server);
    if std::env::var_os("RUST_LOG").is_none() {
        command.env(
            "RUST_LOG",
            "harmony_fleet_simulator=info,async_nats=off,error",
        );
    }
    command::run(&mut command)
}

/// The options of the bench `agent`.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench agent")]
struct Agent {
    /// How often a deployment is applied
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// The seconds for which the agent is watched while nothing happens
    #[arg(long, default_value_t = 60)]
    idle: u32,
}

/// Release builds of the agent and of the command with a real podman: how fast, and at what cost.
fn agent(options: &[String]) -> anyhow::Result<()> {
    let name = "cargo xtask bench agent".to_owned();
    let options = Agent::parse_from(std::iter::once(&name).chain(options));
    let (variable, server) = peers::nats_server()?;
    let build = ["build", "--release", "--no-default-features", "--bins"];
    let packages = ["-p", "harmony-fleet-agent", "-p", "harmony-fleet"];
    command::run(command::cargo(&build).args(packages))?;
    let mut test = command::cargo(&["test", "--workspace", "--test", "device"]);
    test.args(["--", "--ignored", "--nocapture", "what_the_agent_costs"])
        .env(variable, server)
        .env(
            "HARMONY_FLEET_PROGRAMS",
            command::target_dir().join("release"),
        )
        .env("HARMONY_BENCH_RUNS", options.runs.to_string())
        .env("HARMONY_BENCH_IDLE", options.idle.to_string());
    command::run(&mut test)
}
