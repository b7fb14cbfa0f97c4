//! The error of an [`Interpret`](crate::Interpret).

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, FailureKind, Report};

/// The error of a Score: its name, and the complete typed error of the operation that failed.
///
/// The diagnostic is shared, so that nothing is lost through `Box<dyn Score<T>>`.
#[derive(Debug, Clone)]
pub struct InterpretError {
    score: String,
    diagnostic: Arc<dyn Diagnostic>,
}

impl InterpretError {
    /// Creates the error for the Score with the name `score`.
    pub fn new(score: impl Into<String>, error: impl Diagnostic) -> Self {
        Self {
            score: score.into(),
            diagnostic: Arc::new(error),
        }
    }

    /// The name of the Score that failed.
    pub fn score(&self) -> &str {
        &self.score
    }

    /// The error of the operation that failed.
    pub fn diagnostic(&self) -> &dyn Diagnostic {
        &*self.diagnostic
    }

    /// The kind of failure, which determines the exit code.
    pub fn kind(&self) -> FailureKind {
        self.report().kind
    }

    /// The error as data.
    pub fn report(&self) -> Report {
        Report::of(&*self.diagnostic)
    }
}

impl fmt::Display for InterpretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "score `{}` failed", self.score)
    }
}

impl Error for InterpretError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.diagnostic)
    }
}
