//! Validates each object by a dry run on the server before the first write.

use harmony_core::capability::kubernetes_cluster::{ClusterError, FieldFault};
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::{Owner, OwnerKind};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::response::{Status, StatusCause};
use serde_json::{Value, json};

use super::order::{Rank, rank};
use super::planned::Planned;
use super::standing::{LEGACY_MANAGER, Standing, standing};
use super::stored::deviation;
use super::{anew, difference, ownership, read, texts, to_value, wanted};
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::kinds::{Kind, segment};
use crate::{field_path, schema};

/// The namespace for validating objects whose own namespace does not exist yet. Every cluster has it.
const STAND_IN_NAMESPACE: &str = "default";

/// Field managers of the cluster's own controllers; the fields they write are theirs.
const CONTROLLERS: [&str; 2] = [
    "kube-controller-manager",
    "clusterrole-aggregation-controller",
];

/// An object that was read and validated.
pub(super) struct Tried {
    pub(super) object: KubeObject,
    /// `None` for a kind that is defined by this apply.
    pub(super) kind: Option<Kind>,
    pub(super) wanted: Value,
    pub(super) before: Option<Value>,
    pub(super) standing: Standing,
    pub(super) verdict: Verdict,
    /// Whether fields are taken over from another name that Harmony recorded for the same owner.
    pub(super) force: bool,
    /// A note for the change.
    pub(super) notes: Vec<String>,
}

/// What an apply would do to an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It is unchanged; nothing is sent.
    AsApplied,
    /// The server would store this.
    Stored(Value),
    /// It cannot change, and is deleted and created again.
    Anew,
    /// It cannot be validated before something else of the same run exists.
    Untried,
}

impl Tried {
    pub(super) fn reference(&self) -> &ObjectRef {
        self.object.reference()
    }

    /// The change, as far as it is known before the write.
    pub(super) fn change(&self) -> Change {
        let change = |action| Change::new(action, self.reference().clone());
        let change = match (&self.before, &self.verdict) {
            (Some(before), Verdict::Stored(after)) => updated(self.reference(), before, after),
            (Some(_), Verdict::Anew) => change(Action::Update),
            (Some(_), _) => change(Action::Unchanged),
            (None, _) => change(Action::Create),
        };
        self.noted(change)
    }

    pub(super) fn noted(&self, change: Change) -> Change {
        if self.notes.is_empty() {
            return change;
        }
        change.with_note(self.notes.join("; "))
    }

    /// The other owners, if this apply would change what they applied.
    pub(super) fn taken_from(&self) -> Option<String> {
        match (&self.standing, self.change().action) {
            (Standing::Others(owners), Action::Update) => Some(owners.join(", ")),
            _ => None,
        }
    }
}

/// An update with the changed fields; unchanged if only the owners of fields differ.
pub(super) fn updated(reference: &ObjectRef, before: &Value, after: &Value) -> Change {
    let fields = difference(before, after);
    if fields.is_empty() {
        return Change::new(Action::Unchanged, reference.clone());
    }
    Change::new(Action::Update, reference.clone()).with_fields(fields)
}

/// Reads and validates an object.
pub(super) async fn try_one(
    connection: &Connection,
    owner: &Owner,
    object: &KubeObject,
    planned: &Planned,
) -> Result<Tried, ClusterError> {
    let reference = object.reference();
    let invalid = |fields| ClusterError::Invalid {
        object: reference.clone(),
        fields,
    };
    let faults = texts::faults(object.body());
    if !faults.is_empty() {
        return Err(invalid(faults));
    }
    let mut tried = Tried {
        object: object.clone(),
        kind: connection.kind(reference).await?,
        wanted: wanted::as_sent(object.body()),
        before: None,
        standing: Standing::Ours,
        verdict: Verdict::Untried,
        force: matches!(owner.kind(), OwnerKind::Controller | OwnerKind::Successor),
        notes: Vec::new(),
    };
    let Some(kind) = tried.kind.clone() else {
        if planned.defines(reference) {
            tried
                .notes
                .push("not checked: its kind is defined by the same run".into());
            return Ok(tried);
        }
        return Err(ClusterError::UnknownKind {
            object: reference.clone(),
        });
    };
    let api = kind.api(&connection.client, reference);
    tried.before = read(connection, &api, reference).await?;
    if let Some(before) = &tried.before {
        tried.standing = standing(before, owner);
        // The same chart in two namespaces (staging and production) shares its definitions.
        if let Standing::Others(owners) = &tried.standing
            && rank(reference) == Rank::Definition
            && owners.iter().all(|other| is_same_chart(other, owner))
        {
            tried
                .notes
                .push(format!("shared with {}", owners.join(", ")));
            tried.force = true;
            tried.standing = Standing::Ours;
        }
        // The fields of Helm are those of updates, which conflict with an apply by the same name.
        tried.force |= tried.standing == Standing::ByHelm;
        let manager = match tried.standing.predecessor() {
            Some(predecessor) => predecessor.to_owned(),
            None => owner.manager(),
        };
        if ownership::is_as_applied(before, &tried.wanted, &manager) {
            tried.verdict = Verdict::AsApplied;
            return Ok(tried);
        }
    }
    Trial {
        connection,
        owner,
        planned,
        kind: &kind,
        tried: &mut tried,
    }
    .run()
    .await?;
    Ok(tried)
}

struct Trial<'t> {
    connection: &'t Connection,
    owner: &'t Owner,
    planned: &'t Planned,
    kind: &'t Kind,
    tried: &'t mut Tried,
}

impl Trial<'_> {
    async fn run(&mut self) -> Result<(), ClusterError> {
        let reference = self.tried.reference().clone();
        let api = self.kind.api(&self.connection.client, &reference);
        // Each round gives up at least one field, so this terminates.
        loop {
            let sent = self.tried.wanted.clone();
            match self.send(&api, &reference, &sent).await? {
                Ok(stored) => return self.accept(stored),
                Err(status) if status.code == 409 => self.give_way(status)?,
                Err(status) if is_missing_namespace(&status) => {
                    return self.try_elsewhere(&reference, status).await;
                }
                Err(status) if self.will_pass(&status) => {
                    self.untried("not checked: it needs something that the same run creates");
                    return Ok(());
                }
                Err(status) if status.message.contains("does not support dry run") => {
                    self.untried("not checked: a webhook of the cluster does not support dry runs");
                    return Ok(());
                }
                Err(status) => return self.try_anew(&api, &reference, status).await,
            }
        }
    }

    /// What cannot change is tried as if it were not there, where it asks to be made anew.
    async fn try_anew(
        &mut self,
        api: &Api<DynamicObject>,
        reference: &ObjectRef,
        status: Status,
    ) -> Result<(), ClusterError> {
        let is_ours = self.tried.before.is_some() && self.tried.standing == Standing::Ours;
        let is_fixed = schema::faults(&status).is_some_and(|faults| anew::is_only_fixed(&faults));
        let asked_by = anew::asked_by(&self.tried.object).filter(|_| is_ours && is_fixed);
        let Some(annotation) = asked_by else {
            return Err(self.refused(reference, status));
        };
        let name = anew::stand_in(reference.name.as_str());
        let mut sent = self.tried.wanted.clone();
        sent["metadata"]["name"] = json!(name);
        let stand_in = ObjectRef {
            name: name.parse().map_err(|_| self.refused(reference, status))?,
            ..reference.clone()
        };
        match self.send(api, &stand_in, &sent).await? {
            Ok(mut stored) => {
                stored["metadata"]["name"] = json!(reference.name.as_str());
                self.accept(stored)?;
                self.tried.verdict = Verdict::Anew;
                let note =
                    format!("deleted and created again, as its annotation `{annotation}` asks");
                self.tried.notes.push(note);
                Ok(())
            }
            Err(status) => Err(self.refused(reference, status)),
        }
    }

    /// A dry run; the inner error is the server's answer.
    async fn send(
        &self,
        api: &Api<DynamicObject>,
        name: &ObjectRef,
        sent: &Value,
    ) -> Result<Result<Value, Status>, ClusterError> {
        let manager = match self.tried.standing.predecessor() {
            Some(predecessor) => predecessor.to_owned(),
            None => self.owner.manager(),
        };
        let parameters = PatchParams {
            dry_run: true,
            // Fields of others are compared first, and taken over only with consent.
            force: self.tried.force || matches!(self.tried.standing, Standing::Others(_)),
            ..PatchParams::apply(&manager)
        };
        let attempt = self.connection.attempt("try", self.tried.reference());
        let patch = Patch::Apply(sent);
        let segment = segment(name);
        let request = api.patch(&segment, &parameters, &patch);
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request)
            .await
            .map_err(|elapsed| attempt.timed_out(elapsed))?;
        match answer {
            Ok(stored) => to_value(stored)
                .map(Ok)
                .map_err(|error| attempt.failed(error)),
            Err(kube::Error::Api(status)) => Ok(Err(*status)),
            Err(error) => Err(attempt.failed(error)),
        }
    }

    fn accept(&mut self, stored: Value) -> Result<(), ClusterError> {
        let deviation = deviation(&self.tried.wanted, &stored);
        if !deviation.dropped.is_empty() {
            return Err(ClusterError::Dropped {
                object: self.tried.reference().clone(),
                fields: deviation.dropped,
            });
        }
        if !deviation.changed.is_empty() {
            let fields = deviation.changed.join(", ");
            self.tried
                .notes
                .push(format!("the cluster stores a different value in {fields}"));
        }
        self.tried.verdict = Verdict::Stored(stored);
        Ok(())
    }

    /// Leaves fields to the controllers that fill them in. A conflict with anybody else remains a conflict.
    fn give_way(&mut self, status: Status) -> Result<(), ClusterError> {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let conflicts: Vec<&StatusCause> = causes
            .filter(|cause| cause.reason == "FieldManagerConflict")
            .collect();
        let own = self.owner.manager();
        let is_own = |cause: &&StatusCause| {
            let manager = manager_of(cause);
            manager == LEGACY_MANAGER || manager == own
        };
        if !conflicts.is_empty() && !self.tried.force && conflicts.iter().all(is_own) {
            self.tried.force = true;
            return Ok(());
        }
        let is_all = !conflicts.is_empty()
            && conflicts
                .iter()
                .all(|cause| is_left_to_others(cause, &self.tried.wanted));
        let mut left = Vec::new();
        if is_all {
            for cause in conflicts {
                if field_path::remove(&mut self.tried.wanted, &cause.field) {
                    let path = cause.field.trim_start_matches('.');
                    left.push(format!("{path} is managed by {}", manager_of(cause)));
                }
            }
        }
        if left.is_empty() {
            let reference = self.tried.reference();
            let attempt = self.connection.attempt("apply", reference);
            return Err(attempt.failed(kube::Error::Api(status.boxed())));
        }
        self.tried.notes.extend(left);
        Ok(())
    }

    /// The namespace is created by this run, or by an earlier step of a plan: validate the object in a namespace that
    /// exists.
    async fn try_elsewhere(
        &mut self,
        reference: &ObjectRef,
        status: Status,
    ) -> Result<(), ClusterError> {
        let is_expected = self.connection.context.is_planning()
            || reference
                .namespace
                .as_ref()
                .is_some_and(|namespace| self.planned.creates_namespace(namespace.as_str()));
        if !is_expected {
            return Err(self.refused(reference, status));
        }
        let namespace = STAND_IN_NAMESPACE
            .parse()
            .map_err(|_| self.refused(reference, status))?;
        let elsewhere = ObjectRef {
            namespace: Some(namespace),
            ..reference.clone()
        };
        let api = self.kind.api(&self.connection.client, &elsewhere);
        // Another object of that name would make this an update.
        let is_taken = read(self.connection, &api, &elsewhere).await;
        if !matches!(is_taken, Ok(None)) {
            self.untried("not checked: its namespace does not exist yet");
            return Ok(());
        }
        let mut sent = self.tried.wanted.clone();
        sent["metadata"]["namespace"] = json!(STAND_IN_NAMESPACE);
        match self.send(&api, &elsewhere, &sent).await? {
            Ok(mut stored) => {
                let own = &self.tried.wanted["metadata"]["namespace"];
                stored["metadata"]["namespace"] = own.clone();
                self.accept(stored)
            }
            Err(status) => {
                if let Some(fields) = schema::faults(&status) {
                    return Err(self.invalid(reference, fields));
                }
                // Permissions, quotas and policies of another namespace do not apply here.
                self.untried("not checked: its namespace does not exist yet");
                Ok(())
            }
        }
    }

    fn untried(&mut self, note: &str) {
        self.tried.verdict = Verdict::Untried;
        self.tried.notes.push(note.to_owned());
    }

    /// Whether it was refused only because something is missing that this run creates.
    fn will_pass(&self, status: &Status) -> bool {
        let message = status.message.as_str();
        let is_young = matches!(status.code, 403 | 500)
            && (message.contains("error looking up service account")
                || message.contains("failed calling webhook"));
        let is_named = matches!(status.code, 403 | 404)
            && !message.contains(" cannot ")
            && self.planned.names_another(self.tried.reference(), message);
        is_young || is_named
    }

    fn refused(&self, reference: &ObjectRef, status: Status) -> ClusterError {
        if let Some(fields) = schema::faults(&status) {
            return self.invalid(reference, fields);
        }
        let attempt = self.connection.attempt("apply", reference);
        attempt.failed(kube::Error::Api(status.boxed()))
    }

    fn invalid(&self, reference: &ObjectRef, mut fields: Vec<FieldFault>) -> ClusterError {
        schema::locate_quantities(&self.tried.wanted, &mut fields);
        schema::advise(&reference.kind, &mut fields);
        ClusterError::Invalid {
            object: reference.clone(),
            fields,
        }
    }
}

/// Whether `other` is the chart of `owner` in another namespace.
fn is_same_chart(other: &str, owner: &Owner) -> bool {
    owner.prunes()
        && other
            .strip_prefix(owner.kind().word())
            .and_then(|rest| rest.strip_prefix(':')?.split_once('@'))
            .is_some_and(|(chart, _)| chart == owner.name())
}

fn is_missing_namespace(status: &Status) -> bool {
    status.code == 404
        && status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == "namespaces")
}

/// A field that its current manager is meant to fill in: it was written by a controller of the cluster, was left empty,
/// or is an injected certificate.
fn is_left_to_others(cause: &StatusCause, wanted: &Value) -> bool {
    let is_empty = match field_path::get(wanted, &cause.field) {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        _ => false,
    };
    let manager = manager_of(cause);
    CONTROLLERS.contains(&manager)
        || !Owner::is_manager(manager) && (is_empty || cause.field.ends_with(".caBundle"))
}

/// `conflict with "kube-controller-manager" using autoscaling/v1`
fn manager_of(cause: &StatusCause) -> &str {
    cause.message.split('"').nth(1).unwrap_or("another manager")
}
