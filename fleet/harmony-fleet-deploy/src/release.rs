//! `harmony-fleet --release --from-tag TAG`.

use std::process::ExitCode;

use harmony::cli::{RunArgs, run};
use harmony::core::Mode;
use harmony::release::ReleaseArgs;
use harmony::{CiTopology, Inventory, scores};

use crate::apps;

/// The release options of `harmony-fleet`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Release")]
pub struct ReleaseCommand {
    #[command(flatten)]
    pub release: ReleaseArgs,

    /// Show what would be published, without publishing it
    #[arg(long, requires = "release")]
    pub plan: bool,

    /// Write JSON to stdout, one document per line
    #[arg(long, requires = "release")]
    pub json: bool,
}

/// Releases the app in the tag from the work tree of the current directory to the registry in the environment.
///
/// The tag is checked first: an invalid or unknown tag fails before any file or the network is used.
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
