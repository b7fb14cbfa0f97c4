//! The local Kubernetes node by hand.
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

/// The local Kubernetes node by hand: up, status, down.
///
/// A real single-node Kubernetes without Docker, shared by everything that deploys to this machine. Needs root.
#[derive(Parser)]
#[command(name = "harmony-node", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the node up; builds its program first when there is none
    Up,
    /// What runs, and whether it works
    Status,
    /// Takes the node down and leaves nothing of it running
    Down {
        /// Also removes its objects, images and certificates
        #[arg(long)]
        purge: bool,
    },
    /// Prints the path of the node's kubeconfig
    Kubeconfig,
    /// Runs kubectl for this node
    #[command(trailing_var_arg = true)]
    Kubectl {
        /// Its arguments
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
