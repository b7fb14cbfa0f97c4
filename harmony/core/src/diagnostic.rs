//! Additional information about errors: a stable code, a location, evidence and hints.
//!
//! Errors are plain `thiserror` enums whose messages do not repeat their source. Advice is separate, in [`Diagnostic`],
//! so that it can be rendered like rustc does and written to JSON as data.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// An error that can be shown to the user who has to act on it.
pub trait Diagnostic: Error + Send + Sync + 'static {
    /// Whether this error has its own code or wraps another diagnostic.
    fn origin(&self) -> Origin<'_>;

    /// The wrapped diagnostic, if there is one.
    fn inner(&self) -> Option<&dyn Diagnostic> {
        match self.origin() {
            Origin::Own(_) => None,
            Origin::Inner(inner) => Some(inner),
        }
    }

    /// The stable code, for `harmony explain` and the documentation. Determined by [`origin`](Self::origin).
    fn code(&self) -> Code {
        match self.origin() {
            Origin::Own(code) => code,
            Origin::Inner(inner) => inner.code(),
        }
    }

    /// The kind of failure, which determines the exit code. For a wrapped diagnostic, the inner one decides.
    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Failed, Diagnostic::kind)
    }

    /// The location of the cause: a file, a field of a Score, or an object.
    fn place(&self) -> Option<String> {
        self.inner().and_then(Diagnostic::place)
    }

    /// The facts that were observed: the reason of a pod, an exit code, the last lines of a log.
    fn evidence(&self) -> Vec<String> {
        self.inner().map(Diagnostic::evidence).unwrap_or_default()
    }

    /// What to do about it. Each hint is a complete instruction; the most likely one comes first.
    fn hints(&self) -> Vec<String> {
        self.inner().map(Diagnostic::hints).unwrap_or_default()
    }
}

/// The source of the facts of a [`Diagnostic`].
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// This error, with its own code.
    Own(Code),
    /// A wrapped diagnostic. The outer error can add evidence and hints.
    Inner(&'a dyn Diagnostic),
}

/// The kind of failure, which determines the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The operation was tried and failed.
    Failed,
    /// The command line is not valid.
    Usage,
    /// The operation was refused before anything was written.
    Refused,
    /// The user or the system cancelled the run.
    Cancelled,
}

/// A stable code such as `H0301`. All codes are in [`codes`](crate::codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Code(u16);

impl Code {
    /// The code with this number: `new(301)` is `H0301`. Only [`codes`](crate::codes) creates codes.
    pub(crate) const fn new(number: u16) -> Self {
        Self(number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "H{:04}", self.0)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.to_string()
    }
}

/// A diagnostic as data, for `--json` and for the renderer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The stable code.
    pub code: Code,
    /// The kind of failure, which determines the exit code.
    pub kind: FailureKind,
    /// The message of the error.
    pub message: String,
    /// The messages of its sources, the outermost first.
    pub causes: Vec<String>,
    /// The location of the cause.
    pub place: Option<String>,
    /// The facts that were observed.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Report {
    /// Collects the facts of `error` and of the diagnostics that it wraps.
    pub fn of(error: &dyn Diagnostic) -> Self {
        let mut facts = Facts::of(error);
        Self {
            code: facts.code,
            kind: facts.kind,
            message: error.to_string(),
            causes: causes(error),
            place: facts.place.take(),
            evidence: facts.evidence,
            hints: facts.hints,
        }
    }
}

/// Plain text for logs and tests. `harmony_cli` formats errors for users.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {}", self.code, self.kind, self.message)?;
        let parts = [
            ("where", self.place.as_slice()),
            ("cause", &self.causes[..]),
            ("seen", &self.evidence[..]),
            ("help", &self.hints[..]),
        ];
        for (name, texts) in parts {
            for text in texts {
                write!(f, "\n  {name}: {text}")?;
            }
        }
        Ok(())
    }
}

/// The facts of a chain of diagnostics. The innermost one decides the code and the kind, and the place if it has one.
/// Evidence and hints are combined, with the outer ones first.
struct Facts {
    code: Code,
    kind: FailureKind,
    place: Option<String>,
    evidence: Vec<String>,
    hints: Vec<String>,
}

impl Facts {
    fn of(error: &dyn Diagnostic) -> Self {
        match error.origin() {
            Origin::Own(code) => Self {
                code,
                kind: error.kind(),
                place: error.place(),
                evidence: error.evidence(),
                hints: error.hints(),
            },
            Origin::Inner(inner) => {
                let facts = Self::of(inner);
                Self {
                    place: facts.place.or_else(|| error.place()),
                    evidence: joined(error.evidence(), facts.evidence),
                    hints: joined(error.hints(), facts.hints),
                    ..facts
                }
            }
        }
    }
}

/// Combines both lists. Lines that are in both, because the outer error forwarded them, are kept once.
fn joined(mut outer: Vec<String>, inner: Vec<String>) -> Vec<String> {
    outer.retain(|line| !inner.contains(line));
    outer.extend(inner);
    outer
}

/// The messages of the sources of `error`, the outermost first. A source whose message is already part of the error
/// above it (a transparent wrapper, or a library that ends its messages with their source) is skipped.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut messages = Vec::new();
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if !last.ends_with(&message) {
            messages.push(message.clone());
            last = message;
        }
        source = error.source();
    }
    messages
}

/// A diagnostic of any type. The error of a capability uses it to carry the error of an adapter without losing
/// information.
///
/// Shared, because one failure (a node that does not start) can be returned to several callers.
#[derive(Debug, Clone)]
pub struct AnyDiagnostic(Arc<dyn Diagnostic>);

impl AnyDiagnostic {
    /// Boxes `error`.
    pub fn new(error: impl Diagnostic) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for AnyDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for AnyDiagnostic {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Diagnostic for AnyDiagnostic {
    fn origin(&self) -> Origin<'_> {
        Origin::Inner(&*self.0)
    }
}

/// A boxed error of another library, kept as a source and never interpreted.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Said {
        text: &'static str,
        source: Option<Box<Said>>,
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Said>> {
        let (text, rest) = texts.split_first()?;
        let source = chain(rest);
        Some(Box::new(Said { text, source }))
    }

    #[test]
    fn what_an_error_said_already_is_no_cause_of_it() {
        let error = chain(&[
            "cannot connect",
            "service: connect: refused",
            "connect: refused",
            "refused",
            "os error 111",
        ]);
        assert_eq!(
            causes(&*error.unwrap()),
            ["service: connect: refused", "os error 111"]
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the pod crashes")]
    struct Crash;

    impl Diagnostic for Crash {
        fn origin(&self) -> Origin<'_> {
            Origin::Own(codes::CRASH_LOOP)
        }

        fn kind(&self) -> FailureKind {
            FailureKind::Cancelled
        }

        fn place(&self) -> Option<String> {
            Some("Pod web".into())
        }

        fn evidence(&self) -> Vec<String> {
            vec!["exit code 3".into()]
        }

        fn hints(&self) -> Vec<String> {
            vec!["read its log".into()]
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot deploy web")]
    struct Deploy(#[source] AnyDiagnostic);

    impl Diagnostic for Deploy {
        fn origin(&self) -> Origin<'_> {
            Origin::Inner(&self.0)
        }

        fn kind(&self) -> FailureKind {
            FailureKind::Refused
        }

        fn place(&self) -> Option<String> {
            Some("DeployScore web".into())
        }

        fn evidence(&self) -> Vec<String> {
            vec!["revision 7".into(), "exit code 3".into()]
        }
    }

    #[test]
    fn an_error_that_stands_for_another_forwards_all_of_its_facts() {
        let error = AnyDiagnostic::new(Deploy(AnyDiagnostic::new(Crash)));
        assert_eq!(
            Report::of(&error),
            Report {
                code: codes::CRASH_LOOP,
                kind: FailureKind::Cancelled,
                message: "cannot deploy web".into(),
                causes: vec!["the pod crashes".into()],
                place: Some("Pod web".into()),
                evidence: vec!["revision 7".into(), "exit code 3".into()],
                hints: vec!["read its log".into()],
            }
        );
        assert_eq!(error.code(), codes::CRASH_LOOP);
    }
}
