//! The errors of finding or building the image and chart of a deploy.

use std::path::PathBuf;

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_types::{ReleaseUnit, Version};

use crate::app_spec::BundledNameError;
use crate::crate_version::CrateVersionError;
use crate::publish::PublishError;
use crate::record::RecordError;
use harmony_charts::ChartError;

/// The maximum number of released versions in a hint.
const LISTED: usize = 8;

/// The reason why an image or chart is not available.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The versions were not released.
    #[error("{} not released: {}", if missing.len() == 1 { "this version is" } else { "these versions are" }, list(missing))]
    NotReleased {
        /// The missing versions, each with the versions that were released.
        missing: Vec<Missing>,
    },
    /// The app has no chart, so there is nothing to deploy to a cluster.
    #[error("{unit} has no chart to deploy")]
    NoChart { unit: Box<ReleaseUnit> },
    /// The app does not bundle this image.
    #[error("{unit} has no bundled image `{image}`")]
    NoBundledImage {
        unit: Box<ReleaseUnit>,
        image: String,
    },
    /// The sources that this program was compiled from are not on this machine.
    #[error("the sources of {unit} were not found at `{}`", root.display())]
    NoSources {
        unit: Box<ReleaseUnit>,
        /// The location of the sources when the program was compiled.
        root: PathBuf,
    },
    /// The record of the release cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The version in the source cannot be read.
    #[error(transparent)]
    CrateVersion(#[from] CrateVersionError),
    #[error(transparent)]
    Name(#[from] BundledNameError),
    #[error(transparent)]
    Image(#[from] PublishError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A requested version that was not released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub unit: ReleaseUnit,
    /// The version; `None` if the latest release was requested and there is none.
    pub version: Option<Version>,
    /// The released versions.
    pub released: Vec<Version>,
}

impl Missing {
    fn hint(&self) -> String {
        let tag = match &self.version {
            Some(version) => self.unit.tag(version),
            None => self.unit.tag_pattern(),
        };
        if self.released.is_empty() {
            return format!(
                "release {} with the tag `{tag}`; it has no releases yet",
                self.unit
            );
        }
        let mut versions = self.released.clone();
        versions.sort();
        versions.reverse();
        let listed: Vec<String> = versions
            .iter()
            .take(LISTED)
            .map(ToString::to_string)
            .collect();
        let more = match versions.len() - listed.len() {
            0 => String::new(),
            count => format!(" and {count} older"),
        };
        format!(
            "release it with the tag `{tag}`, or choose a released version of {}: {}{more}",
            self.unit,
            listed.join(", ")
        )
    }
}

fn list(missing: &[Missing]) -> String {
    let shown = missing.iter().map(|missing| match &missing.version {
        Some(version) => format!("{} {version}", missing.unit),
        None => missing.unit.to_string(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl Diagnostic for ArtifactError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::NotReleased { .. } => Origin::Own(codes::NOT_RELEASED),
            Self::NoChart { .. } | Self::NoBundledImage { .. } => {
                Origin::Own(codes::IMAGE_OR_CHART_MISSING)
            }
            Self::Name(error) => Origin::Inner(error),
            Self::NoSources { .. } => Origin::Own(codes::NO_SOURCES),
            Self::Record(error) => Origin::Inner(error),
            Self::CrateVersion(error) => Origin::Inner(error),
            Self::Image(error) => Origin::Inner(error),
            Self::Chart(error) => Origin::Inner(error),
            Self::Registry(error) => Origin::Inner(error),
            Self::Cancelled(error) => Origin::Inner(error),
        }
    }

    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Refused, Diagnostic::kind)
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotReleased { missing } => missing.iter().map(Missing::hint).collect(),
            Self::NoChart { .. } => {
                vec!["add a chart to its AppSpec, for example with `serving`".into()]
            }
            Self::NoBundledImage { .. } => {
                vec!["add it to `bundled` of the AppSpec and release a new version".into()]
            }
            Self::NoSources { .. } => vec![
                "run the command in a checkout of the sources".into(),
                "or deploy a release, which needs no sources: `--version latest-released`".into(),
            ],
            _ => Vec::new(),
        }
    }
}
