//! Everything that is wrong with a configuration, in one error.

use std::fmt;
use std::path::PathBuf;

use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};

/// Where a value comes from, or where it is missing. The order is that of the list in an error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// Nowhere: this key is missing.
    Missing(&'static str),
    /// The file as a whole.
    File,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong. Never contains a secret.
    pub what: String,
    /// How to fix it; empty if this is clear.
    pub fix: String,
}

impl Problem {
    pub(super) fn new(place: Place, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// `line 3: unknown key `registry.locaton`; did you mean `location`?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Variable(name) => write!(f, "{name}: ")?,
            Place::Missing(key) => write!(f, "missing: `{key}`, ")?,
            Place::File => {}
        }
        f.write_str(&self.what)?;
        match self.fix.as_str() {
            "" => Ok(()),
            fix => write!(f, "; {fix}"),
        }
    }
}

/// The configuration is not valid. Nothing was contacted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the configuration has {}", count(problems))]
pub struct ConfigurationError {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// All problems: those of the file by line, then those of variables, then what is missing.
    pub problems: Vec<Problem>,
}

impl ConfigurationError {
    /// An error with these problems, if there are any.
    pub(super) fn unless_empty(
        file: Option<PathBuf>,
        mut problems: Vec<Problem>,
    ) -> Result<(), Self> {
        problems.sort();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { file, problems })
        }
    }
}

fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "1 problem".into(),
        many => format!("{many} problems"),
    }
}

impl Diagnostic for ConfigurationError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::CONFIGURATION_INVALID)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        Some(match &self.file {
            Some(file) => file.display().to_string(),
            None => "environment".into(),
        })
    }

    fn evidence(&self) -> Vec<String> {
        self.problems.iter().map(Problem::to_string).collect()
    }

    fn hints(&self) -> Vec<String> {
        let anything_missing = self
            .problems
            .iter()
            .any(|problem| matches!(problem.place, Place::Missing(_)));
        let mut hints = vec![
            "all keys and variables are described in docs/reference/configuration.md".to_owned(),
        ];
        if self.file.is_none() && anything_missing {
            hints.push(
                "the configuration file is `harmony.toml` beside the deploy crate, or the file in `--config` or \
                 HARMONY_CONFIG"
                    .into(),
            );
        }
        hints
    }
}
