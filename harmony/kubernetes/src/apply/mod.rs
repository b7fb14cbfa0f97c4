//! Server-side apply: read, compare, write only what differs, and say what changed.
//!
//! ```text
//! rank by kind --> for each rank, in parallel:  read --> as applied? --> unchanged
//!                                                |           |
//!                                                |           no --> apply (planning: dry run) --> difference
//!                                                +-- definitions are awaited before the next rank
//! ```
//!
//! An object that needs no change costs one request, and no write reaches the server.

mod difference;
mod order;
mod ownership;
mod wanted;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::event::{Event, Unit};
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::response::Status;
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub use difference::difference;

use crate::connection::{Connection, FIELD_MANAGER, REQUEST_TIMEOUT};
use order::Rank;
pub(crate) use order::rank;

/// How many objects are applied at the same time.
const PARALLEL: usize = 12;

/// How long a definition may take until its kind is served.
const DEFINITION_DEADLINE: Duration = Duration::from_secs(30);

/// How long an answer that is known to pass is asked for again: the namespace's service account is not there yet, a
/// webhook that was just installed does not answer yet.
const PASSING_DEADLINE: Duration = Duration::from_secs(20);

const RETRY_EVERY: Duration = Duration::from_millis(200);

/// Applies the objects. The changes come in the order in which they were made.
pub(crate) async fn apply(
    connection: &Connection,
    objects: &[KubeObject],
) -> Result<Vec<Change>, ClusterError> {
    let context = &connection.context;
    let mut ordered: Vec<&KubeObject> = objects.iter().collect();
    ordered.sort_by_key(|object| rank(object.reference()));
    let planned = PlannedKinds::of(objects);
    let step = context.step(format!(
        "{} {} objects",
        if context.is_planning() {
            "compare"
        } else {
            "apply"
        },
        objects.len()
    ));
    let mut changes: Vec<Change> = Vec::with_capacity(objects.len());
    for group in ordered.chunk_by(|a, b| rank(a.reference()) == rank(b.reference())) {
        // Collected first: a lazy stream of them would not be `Send` for every lifetime.
        let work: Vec<_> = group
            .iter()
            .map(|object| apply_one(connection, object, &planned))
            .collect();
        let done = stream::iter(work)
            .buffered(PARALLEL)
            .try_collect::<Vec<Change>>();
        let done = context.unless_cancelled(done).await??;
        let is_definition = group
            .first()
            .is_some_and(|object| rank(object.reference()) == Rank::Definition);
        if is_definition && !context.is_planning() {
            for object in group {
                step.message(format!("waiting until {} is served", object.reference()));
                context
                    .unless_cancelled(until_served(connection, object))
                    .await??;
            }
        }
        changes.extend(done);
        step.position(changes.len() as u64, objects.len() as u64, Unit::Items);
    }
    let count = changes
        .iter()
        .filter(|change| change.action != Action::Unchanged)
        .count();
    match count {
        0 => step.skipped("no changes"),
        count => step.done(format!("{count} of {} changed", objects.len())),
    }
    Ok(changes)
}

async fn apply_one(
    connection: &Connection,
    object: &KubeObject,
    planned: &PlannedKinds,
) -> Result<Change, ClusterError> {
    let reference = object.reference();
    let context = &connection.context;
    let Some(kind) = connection.kind(reference).await? else {
        if context.is_planning() && planned.contains(reference) {
            return Ok(Change::new(Action::Create, reference.clone()));
        }
        return Err(ClusterError::UnknownKind {
            object: reference.clone(),
        });
    };
    let api = kind.api(&connection.client, reference);
    let wanted = wanted::as_sent(object.body());
    let before = read(connection, &api, reference).await?;
    if let Some(before) = &before
        && ownership::is_as_applied(before, &wanted, FIELD_MANAGER)
    {
        return Ok(Change::new(Action::Unchanged, reference.clone()));
    }
    let Some(after) = write(connection, &api, reference, &wanted).await? else {
        return Ok(Change::new(Action::Create, reference.clone()));
    };
    let change = match before {
        None => Change::new(Action::Create, reference.clone()),
        Some(before) => updated(reference, &before, &after),
    };
    if change.action != Action::Unchanged && !context.is_planning() {
        context.emit(Event::Changed {
            change: change.clone(),
        });
    }
    Ok(change)
}

/// The server leaves the version alone when an apply changes nothing; a dry run says so by its content only.
fn updated(reference: &ObjectRef, before: &Value, after: &Value) -> Change {
    let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
    let fields = difference(before, after);
    if version(before) == version(after) && fields.is_empty() {
        return Change::new(Action::Unchanged, reference.clone());
    }
    if fields.is_empty() {
        // Only who owns which field changed; nothing that anybody would notice.
        return Change::new(Action::Unchanged, reference.clone());
    }
    Change::new(Action::Update, reference.clone()).with_fields(fields)
}

async fn read(
    connection: &Connection,
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
) -> Result<Option<Value>, ClusterError> {
    let attempt = connection.attempt("read", reference);
    tokio::time::timeout(REQUEST_TIMEOUT, api.get_opt(reference.name.as_str()))
        .await
        .map_err(|elapsed| attempt.timed_out(elapsed))?
        .and_then(|found| found.map(to_value).transpose())
        .map_err(|error| attempt.failed(error))
}

/// What the object is after the apply, or would be; `None` for an object that cannot be dry-run yet because its
/// namespace would be created first.
async fn write(
    connection: &Connection,
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
    wanted: &Value,
) -> Result<Option<Value>, ClusterError> {
    let is_planning = connection.context.is_planning();
    let parameters = PatchParams {
        dry_run: is_planning,
        ..PatchParams::apply(FIELD_MANAGER)
    };
    let patch = Patch::Apply(wanted);
    let attempt = connection.attempt("apply", reference);
    let began = Instant::now();
    loop {
        let request = api.patch(reference.name.as_str(), &parameters, &patch);
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request)
            .await
            .map_err(|elapsed| attempt.timed_out(elapsed))?;
        match answer {
            Ok(object) => {
                return to_value(object)
                    .map(Some)
                    .map_err(|error| attempt.failed(error));
            }
            Err(kube::Error::Api(status)) if is_planning && is_missing_namespace(&status) => {
                return Ok(None);
            }
            Err(kube::Error::Api(status))
                if will_pass(&status, is_planning) && began.elapsed() < PASSING_DEADLINE =>
            {
                tracing::debug!(object = %reference, message = status.message, "asking again");
                sleep(RETRY_EVERY).await;
            }
            Err(error) => return Err(attempt.failed(error)),
        }
    }
}

fn is_missing_namespace(status: &Status) -> bool {
    status.code == 404
        && status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == "namespaces")
}

/// Troubles of the first seconds of a namespace or a webhook.
fn will_pass(status: &Status, is_planning: bool) -> bool {
    let message = status.message.as_str();
    let no_account = status.code == 403 && message.contains("error looking up service account");
    let no_webhook = status.code == 500 && message.contains("failed calling webhook");
    !is_planning && (no_account || no_webhook)
}

/// Until the definition is established and discovery tells of its kind.
async fn until_served(connection: &Connection, object: &KubeObject) -> Result<(), ClusterError> {
    let deadline = tokio::time::timeout(DEFINITION_DEADLINE, async {
        for kind in defined_kinds(object.body()) {
            while connection.kind(&kind).await?.is_none() {
                sleep(RETRY_EVERY).await;
            }
        }
        Ok(())
    });
    deadline.await.unwrap_or_else(|_elapsed| {
        Err(ClusterError::Refused {
            object: object.reference().clone(),
            reason: format!(
                "its kind is not served after {} s",
                DEFINITION_DEADLINE.as_secs()
            ),
            fields: Vec::new(),
        })
    })
}

/// The kinds that a definition would serve, as references to any object of them.
fn defined_kinds(definition: &Value) -> Vec<ObjectRef> {
    let spec = &definition["spec"];
    let group = spec["group"].as_str().unwrap_or_default();
    let kind = spec["names"]["kind"].as_str().unwrap_or_default();
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .filter(|version| version["served"] != Value::Bool(false))
        .filter_map(|version| {
            Some(ObjectRef {
                api_version: format!("{group}/{}", version["name"].as_str()?),
                kind: kind.to_owned(),
                namespace: None,
                name: name.parse().ok()?,
            })
        })
        .collect()
}

/// The kinds that this very apply brings.
struct PlannedKinds(BTreeSet<(String, String)>);

impl PlannedKinds {
    fn of(objects: &[KubeObject]) -> Self {
        let definitions = objects
            .iter()
            .filter(|object| rank(object.reference()) == Rank::Definition);
        let kinds = definitions.flat_map(|object| defined_kinds(object.body()));
        Self(kinds.map(|kind| (kind.api_version, kind.kind)).collect())
    }

    fn contains(&self, object: &ObjectRef) -> bool {
        self.0
            .contains(&(object.api_version.clone(), object.kind.clone()))
    }
}

pub(crate) fn to_value(object: DynamicObject) -> Result<Value, kube::Error> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}
