//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use harmony_reconciler_contracts::DeviceId;

use crate::connection::ConnectionArgs;

/// List and ping the devices of a fleet
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
  harmony-fleet --release --from-tag harmony-fleet-operator-v0.1.0
                                        build and publish a component (see docs/guides/release.md)

On the machine that deployed the fleet no further setting is needed: the deploy leaves a
context file there. Elsewhere give --nats-url, --ca-file, --user and --password-file.

Exit codes:
  0  success
  1  failed, for example because the fleet or the device cannot be reached
  2  the command line or a setting is not valid
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
