//! Why a release did not come about.

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Code, Diagnostic, FailureKind};
use harmony_types::{ReleaseUnitsError, UnresolvedTag};

use crate::chart::ChartError;
use crate::check::CheckError;
use crate::publish::PublishError;

/// A release that did not come about: the error of the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The apps cannot be registered together.
    #[error(transparent)]
    Units(#[from] ReleaseUnitsError),
    /// The tag releases nothing.
    #[error(transparent)]
    Tag(#[from] UnresolvedTag),
    /// Version, work tree or tag are not as they must be.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The chart cannot be made.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The image could not be published.
    #[error(transparent)]
    Image(#[from] PublishError),
    /// The registry did not do what was asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ReleaseError {
    fn inner(&self) -> Option<&dyn Diagnostic> {
        Some(match self {
            Self::Units(_) | Self::Tag(_) => return None,
            Self::Check(error) => error,
            Self::Chart(error) => error,
            Self::Image(error) => error,
            Self::Registry(error) => error,
            Self::Cancelled(error) => error,
        })
    }
}

impl Diagnostic for ReleaseError {
    fn code(&self) -> Code {
        match self {
            Self::Units(_) => Code::new(501),
            Self::Tag(_) => Code::new(230),
            _ => self.inner().map_or(Code::CANCELLED, Diagnostic::code),
        }
    }

    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Refused, Diagnostic::kind)
    }

    fn place(&self) -> Option<String> {
        self.inner().and_then(Diagnostic::place)
    }

    fn evidence(&self) -> Vec<String> {
        self.inner().map(Diagnostic::evidence).unwrap_or_default()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Units(error) => vec![error.hint()],
            Self::Tag(error) => vec![error.hint()],
            _ => self.inner().map(Diagnostic::hints).unwrap_or_default(),
        }
    }
}
