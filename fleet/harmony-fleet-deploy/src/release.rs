//! `harmony-fleet --release --from-tag TAG`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harmony::core::codes;
use harmony::core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony::{CiTopology, Inventory, scores};
use harmony_cli::RunArgs;
use harmony_release::ReleaseArgs;

use crate::apps;

/// A file that the fleet's work tree has at its root, by which it is found.
const MARK: &str = "fleet/harmony-fleet-operator/Cargo.toml";

/// Releases what the tag names from the work tree of the current directory to the registry of the environment.
///
/// The tag is read first of all: a malformed or unknown one fails before a file or the network is touched.
///
/// # Errors
/// The result could not be told to anybody.
pub async fn run(args: ReleaseArgs) -> anyhow::Result<ExitCode> {
    let shown = if args.plan {
        RunArgs::for_mode(harmony::core::Mode::Plan)
    } else {
        RunArgs::default()
    };
    let shown = shown.with_json(args.json);
    let root = find_work_tree();
    let apps = apps::released(root.as_deref().unwrap_or(Path::new(".")));
    let score = match args.score(&apps) {
        Ok(Some(score)) => score,
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Ok(shown.fail(&error)),
    };
    if root.is_none() {
        return Ok(shown.fail(&NoWorkTree));
    }
    match CiTopology::from_env() {
        Ok(topology) => {
            Ok(
                harmony_cli::run(Inventory::autoload(), topology, scores![score], Some(shown))
                    .await?,
            )
        }
        Err(error) => Ok(shown.fail(&error)),
    }
}

fn find_work_tree() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .find(|folder| folder.join(MARK).is_file())
        .map(Path::to_path_buf)
}

/// Started outside a checkout.
#[derive(Debug, thiserror::Error)]
#[error(
    "the current directory is not in a checkout of the fleet's sources: no `{MARK}` here or above"
)]
struct NoWorkTree;

impl Diagnostic for NoWorkTree {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_WORK_TREE)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec!["check out the tag that is to be released, and run the same command there".into()]
    }
}
