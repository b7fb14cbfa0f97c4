//! What is checked before anything is built.

use std::path::PathBuf;

use harmony_core::Context;
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::event::Event;
use harmony_types::{ReleaseUnit, Version};

use crate::app_spec::AppSpec;
use crate::crate_version::{CrateVersionError, written_version};
use crate::source::{Commit, Source, SourceError};

/// How many changed files an error lists.
const LISTED_CHANGES: usize = 20;

/// What a release asks for, beside the app.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The version to release.
    pub version: &'a Version,
    /// The tag it was asked by, where there is one; if the repository has it, it must be what is checked out.
    pub tag: Option<&'a str>,
}

/// Why a release does not begin.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The program was started outside a checkout, and the one it was compiled from is gone.
    #[error("the sources of {unit} are not in the current directory, nor at `{}`", root.display())]
    NoCheckout {
        /// What is released.
        unit: Box<ReleaseUnit>,
        /// Where the sources were when the program was compiled.
        root: PathBuf,
    },
    /// Another version is written in the source.
    #[error("version `{asked}` of {unit} is asked for, its source says `{found}`")]
    VersionMismatch {
        /// What is released.
        unit: Box<ReleaseUnit>,
        /// The version that was asked for.
        asked: Version,
        /// The version in the source.
        found: Version,
        /// Where it is written.
        place: String,
    },
    /// The version in the manifest cannot be read.
    #[error(transparent)]
    CrateVersion(#[from] CrateVersionError),
    /// The commit cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The work tree is not the commit.
    #[error("the work tree differs from commit {} in {} {}", commit.short(), changes.len(), if changes.len() == 1 { "file" } else { "files" })]
    Dirty {
        /// What is checked out.
        commit: Commit,
        /// The files, as `git status --short` writes them.
        changes: Vec<String>,
    },
    /// The tag exists and stands for another commit.
    #[error("the tag `{tag}` points to commit {}, but {} is checked out", tagged.short(), head.short())]
    TagElsewhere {
        /// Which tag.
        tag: String,
        /// Its commit.
        tagged: Commit,
        /// What is checked out.
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
                    "to release what the source is, use the tag `{}`",
                    unit.tag(found)
                ),
                format!("to release `{asked}`, set it there, commit, and tag that commit"),
            ],
            Self::CrateVersion(_) | Self::Source(_) => Vec::new(),
            Self::NoCheckout { .. } => vec![
                "check out the tag that is to be released, and run the same command there".into(),
            ],
            Self::Dirty { .. } => vec![
                "commit or remove these files: what is released must be found in the history"
                    .into(),
                "to run the files as they are, deploy the work tree: that needs no release".into(),
            ],
            Self::TagElsewhere { tag, .. } => {
                vec![format!("check the tag out: `git checkout {tag}`")]
            }
        }
    }
}

/// Checks the version against the crate and the work tree against its commit. Reads only.
///
/// # Errors
/// See [`CheckError`]; the cheapest check comes first.
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
                    "The repository has no tag `{tag}`; what is checked out is released: {}.",
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
