//! The one shape of plan, progress and result.

use std::fmt;

use harmony_types::{ChartRef, ImageRef};
use serde::Serialize;
use serde_json::Value;

use crate::kubernetes::ObjectRef;

/// What an Interpret did or, when planning, would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Each thing it looked at, in order, those that needed no change included.
    pub changes: Vec<Change>,
    /// The checks that passed or, when planning, would run.
    pub checks: Vec<String>,
    /// What a person wants to know next: an address, a command to try.
    pub notes: Vec<String>,
    /// Documents for programs, such as the record of a release; each has a `kind` and a `schemaVersion` of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Value>,
}

impl Outcome {
    /// Nothing was done, nothing needs to be.
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// With what a person wants to know next.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With a document for programs.
    #[must_use]
    pub fn with_record(mut self, record: Value) -> Self {
        self.records.push(record);
        self
    }

    /// Takes over everything of `other`, after what is here.
    pub fn absorb(&mut self, other: Self) {
        for change in other.changes {
            self.add(change);
        }
        self.checks.extend(other.checks);
        self.notes.extend(other.notes);
        self.records.extend(other.records);
    }

    /// Adds a change. Two Scores may share a thing, such as their namespace: it is listed once, with what was really
    /// done to it.
    pub fn add(&mut self, change: Change) {
        match self
            .changes
            .iter_mut()
            .find(|known| known.subject == change.subject)
        {
            Some(known) if known.action == Action::Unchanged => *known = change,
            Some(known) if change.action == Action::Unchanged || *known == change => {}
            _ => self.changes.push(change),
        }
    }

    /// The changes that are one: all but [`Action::Unchanged`].
    pub fn effective(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.action != Action::Unchanged)
    }

    /// True when nothing is to be done.
    pub fn is_unchanged(&self) -> bool {
        self.effective().next().is_none()
    }
}

impl From<Vec<Change>> for Outcome {
    fn from(changes: Vec<Change>) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }
}

impl From<Change> for Outcome {
    fn from(change: Change) -> Self {
        Self::from(vec![change])
    }
}

/// What was done to one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What was done.
    pub action: Action,
    /// To what.
    pub subject: Subject,
    /// Which fields differ, for an update; never holds a secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Anything else worth a few words, such as a size or a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Change {
    /// A change without details.
    pub fn new(action: Action, subject: impl Into<Subject>) -> Self {
        Self {
            action,
            subject: subject.into(),
            fields: Vec::new(),
            note: None,
        }
    }

    /// With a few words beside it.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }

    /// With the fields that differ.
    #[must_use]
    pub fn with_fields(self, fields: Vec<FieldChange>) -> Self {
        Self { fields, ..self }
    }
}

/// `create kubernetes Deployment fleet/harmony-fleet-operator`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.subject)?;
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// What is done to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was not there.
    Create,
    /// It was there and differed.
    Update,
    /// It was there and no longer belongs.
    Delete,
    /// It is as wanted.
    Unchanged,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Unchanged => "unchanged",
        })
    }
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Subject {
    /// An object in a cluster.
    Object(ObjectRef),
    /// A container image in a registry, a node's image store or a daemon.
    Image(ImageRef),
    /// A chart in a registry or a chart store.
    Chart(ChartRef),
    /// The record of a release.
    Release(ImageRef),
    /// A whole cluster, by name.
    Cluster(String),
    /// A project of a registry, by name.
    RegistryProject(String),
    /// A file on this machine.
    File(std::path::PathBuf),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Image(image) => write!(f, "image {image}"),
            Self::Chart(chart) => write!(f, "chart {chart}"),
            Self::Release(record) => write!(f, "release {record}"),
            Self::Cluster(name) => write!(f, "cluster {name}"),
            Self::RegistryProject(name) => write!(f, "registry project {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl From<ObjectRef> for Subject {
    fn from(object: ObjectRef) -> Self {
        Self::Object(object)
    }
}

impl From<ImageRef> for Subject {
    fn from(image: ImageRef) -> Self {
        Self::Image(image)
    }
}

impl From<ChartRef> for Subject {
    fn from(chart: ChartRef) -> Self {
        Self::Chart(chart)
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where, as Kubernetes writes it: `spec.template.spec.containers[0].image`.
    pub path: String,
    /// What stands there now.
    pub before: FieldValue,
    /// What will stand there.
    pub after: FieldValue,
}

/// A field's value as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldValue {
    /// The field is not set.
    Absent,
    /// The value.
    Known(Value),
    /// It may be a secret; only that it differs is shown.
    Redacted,
    /// It is a digest of something that is not built yet.
    KnownAfterBuild,
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("(not set)"),
            Self::Known(Value::String(text)) => f.write_str(text),
            Self::Known(value) => value.fmt(f),
            Self::Redacted => f.write_str("(hidden)"),
            Self::KnownAfterBuild => f.write_str("(known after build)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_scores_share_is_listed_once() {
        let cluster = |action| Change::new(action, Subject::Cluster("shared".into()));
        let mut outcome = Outcome::from(cluster(Action::Unchanged));
        outcome.absorb(cluster(Action::Create).into());
        outcome.absorb(cluster(Action::Create).into());
        outcome.absorb(cluster(Action::Unchanged).into());
        assert_eq!(outcome.changes, [cluster(Action::Create)]);
        outcome.absorb(cluster(Action::Delete).into());
        assert_eq!(outcome.changes.len(), 2);
    }
}
