//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use harmony_reconciler_contracts::DeviceId;

use crate::connection::ConnectionArgs;

/// See and reach the devices of a fleet
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// How to reach the fleet
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Releases, for the machines that build
    #[cfg(feature = "release")]
    #[command(flatten)]
    pub release: harmony_fleet_deploy::ReleaseCommand,
}

const AFTER_HELP: &str = "\
Examples:
  harmony-fleet devices                 which devices there are, and which of them are online
  harmony-fleet ping pump-1 --count 3   is this device reachable, and how fast does it answer
  harmony-fleet --release --from-tag harmony-fleet-operator-v0.1.0
                                        build and publish what the tag names (see docs/guides/release.md)

On the machine that deployed the fleet no further setting is needed: the deploy leaves a
context file there. Elsewhere give --nats-url, --ca-file, --user and --password-file.

Exit codes:
  0  done
  1  it did not work: the fleet or the device is not reachable
  2  the command line or a setting is wrong
  3  a release was refused before anything was written";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// List the devices
    Devices {
        /// Print JSON for programs instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Ask a device for a sign of life, and measure how long the answer takes
    Ping {
        /// The device, as `harmony-fleet devices` shows it
        device: DeviceId,
        /// How often to ask, once a second
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
    /// Print a completion script for a shell
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
