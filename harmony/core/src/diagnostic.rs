//! What an error tells beside its message: a stable code, where, what was seen, and the way out.
//!
//! Errors stay plain `thiserror` enums whose text never repeats their source. Advice is kept apart in [`Diagnostic`],
//! so that one renderer can print it as rustc does and `--json` can carry it as data.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// An error that can be shown to the person who has to act on it.
pub trait Diagnostic: Error + Send + Sync + 'static {
    /// Whether this error has a code of its own, or stands for the diagnostic inside it.
    fn origin(&self) -> Origin<'_>;

    /// The diagnostic inside, if this error stands for one.
    fn inner(&self) -> Option<&dyn Diagnostic> {
        match self.origin() {
            Origin::Own(_) => None,
            Origin::Inner(inner) => Some(inner),
        }
    }

    /// The stable code, which `harmony explain` and the documentation go by. Follows from [`origin`](Self::origin).
    fn code(&self) -> Code {
        match self.origin() {
            Origin::Own(code) => code,
            Origin::Inner(inner) => inner.code(),
        }
    }

    /// What the failure means for the exit code. An inner diagnostic decides it for itself.
    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Failed, Diagnostic::kind)
    }

    /// Where the cause is written: a file, a Score's field, an object.
    fn place(&self) -> Option<String> {
        self.inner().and_then(Diagnostic::place)
    }

    /// What was seen, as facts: a pod's reason, an exit code, the last log lines.
    fn evidence(&self) -> Vec<String> {
        self.inner().map(Diagnostic::evidence).unwrap_or_default()
    }

    /// What to do about it, each a whole instruction, the likeliest first.
    fn hints(&self) -> Vec<String> {
        self.inner().map(Diagnostic::hints).unwrap_or_default()
    }
}

/// Where the facts of a [`Diagnostic`] come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// From this error, which has this code.
    Own(Code),
    /// From a diagnostic inside it. The outer error may add evidence and hints.
    Inner(&'a dyn Diagnostic),
}

/// What a failure means for the exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// It was tried and did not work.
    Failed,
    /// The command line asks for something that does not exist.
    Usage,
    /// It was refused before anything was written.
    Refused,
    /// The user or the system asked to stop.
    Cancelled,
}

/// A stable code such as `H0301`. All of them are in [`codes`](crate::codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Code(u16);

impl Code {
    /// The code with that number; `new(301)` is `H0301`. Only the table in [`codes`](crate::codes) makes codes.
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

/// A diagnostic as data: what `--json` prints and the renderer reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The stable code.
    pub code: Code,
    /// What the failure means for the exit code.
    pub kind: FailureKind,
    /// The message of the error.
    pub message: String,
    /// The messages of its sources, outermost first.
    pub causes: Vec<String>,
    /// Where the cause is written.
    pub place: Option<String>,
    /// What was seen.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Report {
    /// Collects what `error` and the diagnostics inside it know.
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

/// The facts of a chain of diagnostics. The innermost one decides code and kind, and names the place if it can; evidence
/// and hints add up, the outer ones first.
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

/// Both lists. What stands in both, because the outer error forwarded it, stands once.
fn joined(mut outer: Vec<String>, inner: Vec<String>) -> Vec<String> {
    outer.retain(|line| !inner.contains(line));
    outer.extend(inner);
    outer
}

/// The messages of the sources of `error`, outermost first. A source that the error above it has said already (a
/// transparent wrapper, or a library that ends its messages with their source) is passed over.
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

/// A diagnostic of any type: how a port's error carries an adapter's own, with nothing lost.
///
/// Shared, because one failure (a node that does not come up) can be the answer to several callers.
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
