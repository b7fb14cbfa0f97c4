//! The checks before a build.

use std::path::PathBuf;

use harmony_core::Context;
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::event::Event;
use harmony_types::{ReleaseUnit, Version};

use crate::app_spec::AppSpec;
use crate::crate_version::{CrateVersionError, written_version};
use crate::source::{Commit, Source, SourceError};

/// The maximum number of changed files in an error.
const LISTED_CHANGES: usize = 20;

/// The request for a release, in addition to the app.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub version: &'a Version,
    /// The requested tag, if there is one. If it exists in the repository, its commit must be checked out.
    pub tag: Option<&'a str>,
}

/// The reason why a release was refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The program was started outside of a checkout, and the one it was compiled from no longer exists.
    #[error("the sources of {unit} are neither in the current directory nor at `{}`", root.display())]
    NoCheckout {
        unit: Box<ReleaseUnit>,
        /// The location of the sources when the program was compiled.
        root: PathBuf,
    },
    /// The source has another version.
    #[error("the requested version of {unit} is `{asked}`, but its source has version `{found}`")]
    VersionMismatch {
        unit: Box<ReleaseUnit>,
        asked: Version,
        found: Version,
        /// The file with the version.
        place: String,
    },
    /// The version in the manifest cannot be read.
    #[error(transparent)]
    CrateVersion(#[from] CrateVersionError),
    /// The commit cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The work tree has uncommitted changes.
    #[error("the work tree differs from commit {} in {} {}", commit.short(), changes.len(), if changes.len() == 1 { "file" } else { "files" })]
    Dirty {
        commit: Commit,
        /// The changed files, in the format of `git status --short`.
        changes: Vec<String>,
    },
    /// The tag exists and points to another commit.
    #[error("the tag `{tag}` points to commit {}, but {} is checked out", tagged.short(), head.short())]
    TagElsewhere {
        tag: String,
        /// The commit of the tag.
        tagged: Commit,
        head: Commit,
    },
}

impl Diagnostic for CheckError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::NoCheckout { .. } => Origin::Own(codes::NO_WORK_TREE),
            Self::VersionMismatch { .. } => Origin::Own(codes::VERSION_MISMATCH),
            Self::CrateVersion(error) => Origin::Inner(error),
            Self::Source(error) => Origin::Inner(error),
            Self::Dirty { .. } => Origin::Own(codes::DIRTY_WORK_TREE),
            Self::TagElsewhere { .. } => Origin::Own(codes::TAG_ELSEWHERE),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::VersionMismatch { place, .. } => Some(place.clone()),
            _ => None,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Dirty { changes, .. } => {
                let mut listed: Vec<_> = changes.iter().take(LISTED_CHANGES).cloned().collect();
                if changes.len() > LISTED_CHANGES {
                    listed.push(format!("and {} more", changes.len() - LISTED_CHANGES));
                }
                listed
            }
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::VersionMismatch {
                unit, asked, found, ..
            } => vec![
                format!(
                    "to release the version in the source, use the tag `{}`",
                    unit.tag(found)
                ),
                format!(
                    "to release `{asked}`, change the version in the source, commit, and tag this commit"
                ),
            ],
            Self::CrateVersion(_) | Self::Source(_) => Vec::new(),
            Self::NoCheckout { .. } => {
                vec!["check out the tag to release, and run the same command there".into()]
            }
            Self::Dirty { .. } => vec![
                "commit or remove these files; a release must match a commit".into(),
                "to run the files as they are, deploy the work tree; this needs no release".into(),
            ],
            Self::TagElsewhere { tag, .. } => {
                vec![format!("check out the tag: `git checkout {tag}`")]
            }
        }
    }
}

/// Compares the version with that of the crate, and the work tree with its commit. Only reads.
///
/// # Errors
/// See [`CheckError`]. The cheapest check runs first.
pub async fn check(
    app: &AppSpec,
    request: Request<'_>,
    context: &Context,
) -> Result<Source, CheckError> {
    if !app.project_root.is_dir() {
        return Err(CheckError::NoCheckout {
            unit: Box::new(app.unit.clone()),
            root: app.project_root.clone(),
        });
    }
    let source = Source::read(&app.project_root).await?;
    if let Some(tag) = request.tag {
        match Source::tagged(&app.project_root, tag).await? {
            Some(tagged) if tagged != source.commit => {
                return Err(CheckError::TagElsewhere {
                    tag: tag.to_owned(),
                    tagged,
                    head: source.commit,
                });
            }
            Some(_) => {}
            None => context.emit(Event::Warning {
                message: format!(
                    "The repository has no tag `{tag}`; releasing the commit that is checked out: {}.",
                    source.commit.short()
                ),
            }),
        }
    }
    let written = written_version(app).await?;
    if written.version != *request.version {
        return Err(CheckError::VersionMismatch {
            unit: Box::new(app.unit.clone()),
            asked: request.version.clone(),
            found: written.version,
            place: written.place,
        });
    }
    if !source.dirty.is_empty() {
        return Err(CheckError::Dirty {
            commit: source.commit,
            changes: source.dirty,
        });
    }
    Ok(source)
}
