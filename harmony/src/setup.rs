//! Errors of describing an app, before anything runs.

use std::error::Error;
use std::fmt;

use harmony_core::codes;
use harmony_core::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};

/// Any error that keeps a binary from saying what it is about, such as a name that is not one. Made by `?`.
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

/// A [`SetupError`] to be shown. The two are apart because a type that every error turns into is none itself.
#[derive(Debug)]
pub(crate) struct InvalidProgram(BoxError);

impl fmt::Display for InvalidProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this program cannot start")
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
        vec!["correct it where the program describes its app, in its `main`".into()]
    }
}
