//! Errors of setting up a program, before anything runs.

use std::error::Error;
use std::fmt;

use harmony_core::codes;
use harmony_core::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};

/// Any error in the definition of a program, such as an invalid name. Created by `?`.
#[derive(Debug)]
pub struct SetupError(BoxError);

impl<E: Error + Send + Sync + 'static> From<E> for SetupError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl SetupError {
    pub(crate) fn into_diagnostic(self) -> InvalidProgram {
        InvalidProgram(self.0)
    }
}

/// A [`SetupError`] for display. There are two types because a type that every error converts into cannot be an error
/// itself.
#[derive(Debug)]
pub(crate) struct InvalidProgram(BoxError);

impl fmt::Display for InvalidProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program cannot be set up")
    }
}

impl Error for InvalidProgram {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl Diagnostic for InvalidProgram {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::PROGRAM_SETUP)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec!["fix the description of the app in the program's `main` function".into()]
    }
}
