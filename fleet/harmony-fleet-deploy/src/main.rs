//! Deploys the fleet platform to this machine, or to the cluster in the environment.

use std::process::ExitCode;

use harmony_fleet_deploy::platform::FleetPlatform;

fn main() -> ExitCode {
    harmony::main_with(|platform: FleetPlatform| Ok(platform))
}
