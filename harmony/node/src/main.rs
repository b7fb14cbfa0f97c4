//! The `harmony-node` command, which controls the local Kubernetes node.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool"
)]

mod scores;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harmony::Inventory;
use harmony::local::node::{Keep, LocalNode};
use harmony_cli::RunArgs;

use crate::scores::{NodeDownScore, NodeTopology, NodeUpScore};

/// Start, inspect and stop the local Kubernetes node
///
/// The local node is a real single-node Kubernetes cluster that does not need Docker. All deploys to this machine share it.
/// Starting it requires root.
#[derive(Parser)]
#[command(name = "harmony-node", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the node; the first start builds its program
    Up,
    /// Show the state of the node and its components
    Status,
    /// Stop the node and all of its processes
    Down {
        /// Also delete its objects, images and certificates
        #[arg(long)]
        purge: bool,
    },
    /// Print the path of the node's kubeconfig
    Kubeconfig,
    /// Run kubectl with the node's kubeconfig
    #[command(trailing_var_arg = true)]
    Kubectl {
        /// The arguments of kubectl
        #[arg(allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    harmony::install_crypto();
    let node = LocalNode::default();
    let topology = NodeTopology::new(node.clone());
    let inventory = Inventory::autoload();
    let args = Some(RunArgs::default());
    Ok(match Args::parse().command {
        Command::Up => {
            harmony_cli::run(inventory, topology, harmony::scores![NodeUpScore], args).await?
        }
        Command::Down { purge } => {
            let keep = if purge { Keep::Nothing } else { Keep::State };
            harmony_cli::run(
                inventory,
                topology,
                harmony::scores![NodeDownScore { keep }],
                args,
            )
            .await?
        }
        Command::Status => status::print(&node).await,
        Command::Kubeconfig => {
            println!("{}", node.kubeconfig().display());
            ExitCode::SUCCESS
        }
        Command::Kubectl { args } => status::kubectl(&node, &args),
    })
}
