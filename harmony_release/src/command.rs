//! `--release --from-tag TAG`: the release command of every app, as a library.

use std::sync::Arc;

use harmony_types::Version;

use crate::app_spec::{AppSpec, registered_units};
use crate::error::ReleaseError;
use crate::release_score::ReleaseScore;

/// The arguments of a release, to be flattened into those of an app's binary.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(about = None, long_about = None, next_help_heading = "Release")]
pub struct ReleaseArgs {
    /// Build and publish what a git tag names: image, chart and release record
    #[arg(long, requires = "from_tag")]
    pub release: bool,

    /// The tag, `<app>-<component>-v<version>`
    #[arg(long, value_name = "TAG", requires = "release")]
    pub from_tag: Option<String>,
}

impl ReleaseArgs {
    /// What the arguments ask for; `None` when they ask for no release. Pure: reads no file, asks no network.
    ///
    /// # Errors
    /// [`ReleaseError::Tag`] when the tag releases none of `apps`, with the tags that would have matched.
    pub fn score(&self, apps: &[Arc<AppSpec>]) -> Result<Option<ReleaseScore>, ReleaseError> {
        if !self.release {
            return Ok(None);
        }
        // clap refuses `--release` without a tag; a caller that is not a command line gets the error for no tag
        let tag = self.from_tag.as_deref().unwrap_or_default();
        let (app, version) = from_tag(apps, tag)?;
        Ok(Some(ReleaseScore {
            app,
            version: Some(version),
            tag: Some(tag.to_owned()),
        }))
    }
}

/// The app and the version that a tag asks for. Pure, and done before anything else.
///
/// # Errors
/// [`ReleaseError::Tag`] when the tag releases none of `apps`, with the tags that would have matched, nearest first;
/// [`ReleaseError::Units`] when two apps have one name.
pub fn from_tag(apps: &[Arc<AppSpec>], tag: &str) -> Result<(Arc<AppSpec>, Version), ReleaseError> {
    let resolved = registered_units(apps.iter().map(|app| &**app))?.resolve(tag)?;
    let app = apps
        .iter()
        .find(|app| app.unit == resolved.unit)
        .expect("a tag resolves to one of the units it was resolved against");
    Ok((Arc::clone(app), resolved.version))
}

#[cfg(test)]
mod tests;
