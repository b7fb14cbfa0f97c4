//! `harmony-<app> --release --from-tag TAG`: the release command of every app, as a library.

use std::sync::Arc;

use harmony_core::capability::{ContainerBuilder, HelmRegistry, OciRegistry};
use harmony_core::{InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::Version;

use crate::app_spec::{AppSpec, registered_units};
use crate::error::ReleaseError;
use crate::release_score::{ReleaseScore, TaggedReleaseScore};

/// The arguments of a release, to be flattened into those of an app's binary.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Release")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and any combination is legal"
)]
pub struct ReleaseArgs {
    /// Build and publish the image and the chart that a git tag names
    #[arg(long, requires = "from_tag")]
    pub release: bool,

    /// The tag, `<app>-<component>-v<version>`
    #[arg(long, value_name = "TAG", requires = "release")]
    pub from_tag: Option<String>,

    /// Say what would be published, and publish nothing
    #[arg(long, requires = "release")]
    pub plan: bool,

    /// Write one JSON document per line to stdout
    #[arg(long, requires = "release")]
    pub json: bool,

    /// Release although files differ from the commit
    #[arg(long, requires = "release")]
    pub allow_dirty: bool,
}

impl ReleaseArgs {
    /// What the arguments ask for; `None` when they ask for no release. Pure: reads no file, asks no network.
    ///
    /// # Errors
    /// [`ReleaseError::Tag`] when the tag releases none of `apps`, with the tags that would have matched.
    pub fn score(&self, apps: &[AppSpec]) -> Result<Option<TaggedReleaseScore>, ReleaseError> {
        if !self.release {
            return Ok(None);
        }
        // clap refuses `--release` without a tag; a caller that is not a command line gets the error for no tag
        let tag = self.from_tag.as_deref().unwrap_or_default();
        let (app, version) = from_tag(apps, tag)?;
        Ok(Some(TaggedReleaseScore {
            release: ReleaseScore { app, version },
            tag: Some(tag.to_owned()),
            allow_dirty: self.allow_dirty,
        }))
    }
}

/// The app and the version that a tag asks for. Pure, and done before anything else.
///
/// # Errors
/// [`ReleaseError::Tag`] when the tag releases none of `apps`, with the tags that would have matched, nearest first;
/// [`ReleaseError::Units`] when two apps have one name.
pub fn from_tag(apps: &[AppSpec], tag: &str) -> Result<(Arc<AppSpec>, Version), ReleaseError> {
    let resolved = registered_units(apps)?.resolve(tag)?;
    let app = apps
        .iter()
        .find(|app| app.unit == resolved.unit)
        .expect("a tag resolves to one of the units it was resolved against");
    Ok((Arc::new(app.clone()), resolved.version))
}

/// Runs the release that `args` ask for, from the tag to the record. A binary with a command line of its own hands
/// [`ReleaseArgs::score`] to `harmony_cli::run` instead, which also shows progress.
///
/// # Errors
/// What failed, with the Score's name; a tag that releases nothing fails before the topology is touched.
pub async fn release<T>(
    apps: &[AppSpec],
    inventory: &Inventory,
    topology: T,
    args: &ReleaseArgs,
) -> Result<Outcome, InterpretError>
where
    T: Topology + ContainerBuilder + OciRegistry + HelmRegistry,
{
    let asked = ReleaseArgs {
        release: true,
        ..args.clone()
    };
    let score = asked
        .score(apps)
        .map_err(|error| InterpretError::new("release", error))?
        .expect("`release` is set");
    let topology = if args.plan {
        topology.into_planning()
    } else {
        topology
    };
    let mut outcome = topology.ensure_ready().await?;
    outcome.absorb(score.interpret(inventory, &topology).await?);
    Ok(outcome)
}

#[cfg(test)]
mod tests;
