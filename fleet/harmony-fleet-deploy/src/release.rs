//! `harmony-fleet --release --from-tag TAG`.

use std::process::ExitCode;

use harmony::cli::{RunArgs, run};
use harmony::core::Mode;
use harmony::release::ReleaseArgs;
use harmony::{CiTopology, Inventory, scores};

use crate::apps;

/// What a release is asked for on the command line of `harmony-fleet`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Release")]
pub struct ReleaseCommand {
    /// The tag.
    #[command(flatten)]
    pub release: ReleaseArgs,

    /// Show what would be published, and publish nothing
    #[arg(long, requires = "release")]
    pub plan: bool,

    /// Write one JSON document per line to stdout
    #[arg(long, requires = "release")]
    pub json: bool,
}

/// Releases what the tag names from the work tree of the current directory to the registry of the environment.
///
/// The tag is read first of all: a malformed or unknown one fails before a file or the network is touched.
///
/// # Errors
/// The result could not be written.
pub async fn release(command: ReleaseCommand) -> Result<ExitCode, harmony::cli::RunError> {
    let mode = if command.plan {
        Mode::Plan
    } else {
        Mode::Apply
    };
    let shown = RunArgs::for_mode(mode).with_json(command.json);
    let score = match command.release.score(&apps::released()) {
        Ok(Some(score)) => score,
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Ok(shown.fail(&error)),
    };
    run(
        Inventory::autoload(),
        CiTopology::from_env(),
        scores![score],
        Some(shown),
    )
    .await
}
