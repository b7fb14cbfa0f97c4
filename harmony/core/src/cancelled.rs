//! The error of a cancelled run, shared by all capabilities.

use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};

/// The run was cancelled by the user or by SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl Diagnostic for Cancelled {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::CANCELLED)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Cancelled
    }

    fn hints(&self) -> Vec<String> {
        vec!["changes made so far stay; run the same command again to continue".into()]
    }
}
