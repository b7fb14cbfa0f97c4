//! The release command of every app, `--release --from-tag TAG`, as a library.

use std::sync::Arc;

use harmony_types::Version;

use crate::app_spec::{AppSpec, registered_units};
use crate::error::ReleaseError;
use crate::release_score::ReleaseScore;

/// The release arguments, to be flattened into the arguments of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(about = None, long_about = None, next_help_heading = "Release")]
pub struct ReleaseArgs {
    /// Build and publish the image, chart and release record of the app in the git tag
    #[arg(long, requires = "from_tag")]
    pub release: bool,

    /// The git tag, in the form `<app>-<component>-v<version>`
    #[arg(long, value_name = "TAG", requires = "release")]
    pub from_tag: Option<String>,
}

impl ReleaseArgs {
    /// The requested release; `None` if no release was requested. Pure: reads no files and does not use the network.
    ///
    /// # Errors
    /// [`ReleaseError::Tag`] if the tag does not match any of `apps`, with the tags that would match.
    pub fn score(&self, apps: &[Arc<AppSpec>]) -> Result<Option<ReleaseScore>, ReleaseError> {
        if !self.release {
            return Ok(None);
        }
        // clap requires a tag for `--release`; other callers get the error for a missing tag
        let tag = self.from_tag.as_deref().unwrap_or_default();
        let (app, version) = from_tag(apps, tag)?;
        Ok(Some(ReleaseScore {
            app,
            version: Some(version),
            tag: Some(tag.to_owned()),
        }))
    }
}

/// Finds the app and the version of a tag. Pure, and called before anything else.
///
/// # Errors
/// [`ReleaseError::Tag`] if the tag does not match any of `apps`, with the tags that would match, the most similar
/// first; [`ReleaseError::Units`] if two apps have the same name.
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
