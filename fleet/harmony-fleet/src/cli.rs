//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use harmony_reconciler_contracts::{DeploymentName, DeviceId};

use crate::connection::ConnectionArgs;

/// List the devices of a fleet, and say which containers run on them
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[cfg(feature = "release")]
    #[command(flatten)]
    pub release: harmony_fleet_deploy::ReleaseCommand,
}

const AFTER_HELP: &str = "\
Examples:
  harmony-fleet devices                 list the devices and their status
  harmony-fleet ping pump-1 --count 3   ping a device three times
  harmony-fleet apply greeter.yaml      run the containers in the file on the devices in the file
  harmony-fleet status greeter --watch  wait until all online devices run it
  harmony-fleet why pump-1              why the device runs what it runs, or does not
  harmony-fleet --release --from-tag harmony-fleet-operator-v0.1.0
                                        build and publish a component (see docs/guides/release.md)

On the machine that deployed the fleet no further setting is needed: the deploy leaves a
context file there. Elsewhere give --nats-url, --ca-file, --user and --password-file.

Exit codes:
  0  success
  1  failed, for example because the fleet or the device cannot be reached, or because a
     deployment fails on a device
  2  the command line, a setting or a file is not valid
  3  the release was refused before anything was published";

/// The subcommands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// List the devices
    Devices {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Ping a device and measure the response time
    Ping {
        /// The device id, as shown by `harmony-fleet devices`
        device: DeviceId,
        /// Number of pings, one per second
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
    /// Create or change deployments: which containers run on which devices
    Apply {
        /// A YAML or JSON file with one or more deployments; `-` for the standard input
        file: PathBuf,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Delete a deployment: its containers are removed from all devices
    Delete {
        /// The name of the deployment
        name: DeploymentName,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// List the deployments
    Deployments {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show where a deployment stands on each of its devices
    Status {
        /// The name of the deployment
        deployment: DeploymentName,
        /// Wait until all devices that are online run it, or one fails for good
        #[arg(long)]
        watch: bool,
        /// With --watch: fail after this many seconds
        #[arg(long, default_value_t = 300, value_name = "SECONDS")]
        timeout: u64,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Explain what a device runs, and why
    Why {
        /// The device id, as shown by `harmony-fleet devices`
        device: DeviceId,
        /// Only this deployment
        deployment: Option<DeploymentName>,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_device_that_cannot_exist_is_a_usage_error() {
        let error = Cli::try_parse_from(["harmony-fleet", "ping", "Pump_1"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("position 1"), "{error}");
    }
}
