//! The common type of plans, progress and results.

use std::fmt;

use harmony_types::{ChartRef, ImageRef};
use serde::Serialize;
use serde_json::Value;

use crate::kubernetes::ObjectRef;

/// What an Interpret did or, while planning, would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Everything it looked at, in order, including what needed no change.
    pub changes: Vec<Change>,
    /// The checks that passed or, while planning, would run.
    pub checks: Vec<String>,
    /// Information for the user's next step: an address, a command to try.
    pub notes: Vec<String>,
    /// Documents for programs, such as the record of a release. Each has its own `kind` and `schemaVersion`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Value>,
}

impl Outcome {
    /// Nothing was done or has to be done.
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// Adds information for the user's next step.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a document for programs.
    #[must_use]
    pub fn with_record(mut self, record: Value) -> Self {
        self.records.push(record);
        self
    }

    /// Appends everything in `other`.
    pub fn absorb(&mut self, other: Self) {
        for change in other.changes {
            self.add(change);
        }
        self.checks.extend(other.checks);
        self.notes.extend(other.notes);
        self.records.extend(other.records);
    }

    /// Adds a change. If two Scores share a subject, such as their namespace, it is listed once with the actual change.
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

    /// The changes except for [`Action::Unchanged`].
    pub fn effective(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.action != Action::Unchanged)
    }

    /// Returns true if there is nothing to do.
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

/// A change to a subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The action.
    pub action: Action,
    /// The subject.
    pub subject: Subject,
    /// The fields that differ, for an update. Never contains a secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Additional information, such as a size or a digest.
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

    /// Adds additional information.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }

    /// Adds the fields that differ.
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

/// The action of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The subject did not exist.
    Create,
    /// The subject existed but was different.
    Update,
    /// The subject existed but is no longer wanted.
    Delete,
    /// The subject is as wanted.
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

/// The subject of a change.
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
    /// The objects of a chart in a registry.
    Objects(ImageRef),
    /// The record of a release.
    Release(ImageRef),
    /// A cluster, by name.
    Cluster(String),
    /// A project in a registry, by name.
    RegistryProject(String),
    /// An account of a registry, by name.
    RegistryAccount(String),
    /// A file on this machine.
    File(std::path::PathBuf),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Image(image) => write!(f, "image {image}"),
            Self::Chart(chart) => write!(f, "chart {chart}"),
            Self::Objects(objects) => write!(f, "objects {objects}"),
            Self::Release(record) => write!(f, "release {record}"),
            Self::Cluster(name) => write!(f, "cluster {name}"),
            Self::RegistryProject(name) => write!(f, "registry project {name}"),
            Self::RegistryAccount(name) => write!(f, "registry account {name}"),
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

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// The path, in Kubernetes notation: `spec.template.spec.containers[0].image`.
    pub path: String,
    /// The current value.
    pub before: FieldValue,
    /// The new value.
    pub after: FieldValue,
}

/// The value of a field, as far as it can be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldValue {
    /// The field is not set.
    Absent,
    /// The value.
    Known(Value),
    /// The value may be a secret. Only the fact that it differs is shown.
    Redacted,
    /// The digest of something that has not been built yet.
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
