//! The error of a release.

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_types::{ReleaseUnitsError, UnresolvedTag};

use crate::app_spec::BundledNameError;
use crate::check::CheckError;
use crate::crate_version::CrateVersionError;
use crate::publish::PublishError;
use harmony_charts::ChartError;

/// The error of the release step that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    #[error(transparent)]
    Units(#[from] ReleaseUnitsError),
    /// The tag does not match any app.
    #[error(transparent)]
    Tag(#[from] UnresolvedTag),
    /// The version, the work tree or the tag is not as required.
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    Image(#[from] PublishError),
    #[error(transparent)]
    Name(#[from] BundledNameError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ReleaseError {
    /// The version in the source could not be read.
    pub(crate) fn version(error: CrateVersionError) -> Self {
        Self::Check(error.into())
    }
}

impl Diagnostic for ReleaseError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Units(_) => Origin::Own(codes::UNITS_CONFLICT),
            Self::Tag(_) => Origin::Own(codes::UNRESOLVED_TAG),
            Self::Name(error) => Origin::Inner(error),
            Self::Check(error) => Origin::Inner(error),
            Self::Chart(error) => Origin::Inner(error),
            Self::Image(error) => Origin::Inner(error),
            Self::Registry(error) => Origin::Inner(error),
            Self::Cancelled(error) => Origin::Inner(error),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Units(error) => vec![error.hint()],
            Self::Tag(error) => vec![error.hint()],
            _ => Vec::new(),
        }
    }
}
