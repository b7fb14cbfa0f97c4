//! Deploys the fleet platform: to this machine, or to the cluster that the environment names.

use std::process::ExitCode;

use clap::Parser;
use harmony::{CiTopology, Inventory, K8sAnywhereTopology};
use harmony_cli::{RunArgs, UnknownTopology};
use harmony_fleet_deploy::platform;

/// Deploys the fleet platform: NATS, the operator, and one simulated device.
///
/// It goes to a real Kubernetes node on this machine, which it brings up first (needs root). With HARMONY_KUBECONFIG it
/// goes to the cluster of that file, and its images to the registry of HARMONY_REGISTRY.
#[derive(Parser)]
#[command(name = "harmony-fleet-deploy", version, after_help = harmony_cli::AFTER_HELP)]
struct Args {
    #[command(flatten)]
    platform: platform::PlatformArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    harmony::install_crypto();
    let Args { platform, run } = match harmony_cli::parse() {
        Ok(args) => args,
        Err(exit) => return Ok(exit),
    };
    let inventory = Inventory::autoload();
    Ok(match run.topology().unwrap_or("local") {
        "local" => match K8sAnywhereTopology::from_env() {
            Ok(topology) => {
                let scores = platform.scores(topology.is_on_this_machine());
                harmony_cli::run(inventory, topology, scores, Some(run)).await?
            }
            Err(error) => run.fail(&error),
        },
        "ci" => match CiTopology::from_env() {
            Ok(topology) => {
                harmony_cli::run(inventory, topology, platform.scores(false), Some(run)).await?
            }
            Err(error) => run.fail(&error),
        },
        other => run.fail(&UnknownTopology::new(other, &["local", "ci"])),
    })
}
