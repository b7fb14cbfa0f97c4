//! Measures what the goals are about, and prints each figure beside its goal.

use clap::builder::PossibleValuesParser;

use crate::{command, peers};

/// A bench, which gets the rest of the command line.
type Bench = fn(&[String]) -> anyhow::Result<()>;

/// The benches by name.
const BENCHES: &[(&str, Bench)] = &[("fleet", fleet)];

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
