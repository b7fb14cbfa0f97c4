//! Server-side apply: read, validate everything, write only what differs, and report the changes.
//!
//! ```text
//! every object, in parallel:  check its texts --> read --> as applied? --> unchanged
//!                                                   |
//!                                                   no --> dry run --> difference, dropped fields, other owners
//! then, rank by rank:  take over what was consented to --> apply what differs --> wait for definitions
//! ```
//!
//! An unchanged object costs one request and no write. Nothing is written before all objects are validated by a dry
//! run; an object that cannot be validated, because it needs something from the same run, says so in its change.

mod anew;
mod difference;
mod order;
mod ownership;
mod planned;
mod standing;
mod stored;
mod texts;
mod trial;
mod wanted;

use std::time::Duration;

use futures_util::{StreamExt, stream};
use harmony_core::approval::Takeover;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::event::{Event, Unit};
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::response::Status;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub(crate) use anew::stand_in;
pub use difference::difference;

use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::delete::delete;
use crate::kinds::segment;
use order::Rank;
pub(crate) use order::rank;
use planned::{Planned, defined_kinds};
use standing::handed_over;
pub(crate) use standing::{Standing, is_applied_by, standing};
use trial::{Tried, Verdict};

/// The maximum number of objects that are validated or applied at the same time.
const PARALLEL: usize = 12;

/// The timeout until the kind of a new definition is served.
const DEFINITION_DEADLINE: Duration = Duration::from_secs(30);

/// How long transient errors are retried: the service account of a new namespace, or a webhook that was just installed,
/// may not be ready yet.
const PASSING_DEADLINE: Duration = Duration::from_secs(20);

const RETRY_EVERY: Duration = Duration::from_millis(200);

/// Applies the objects for `owner`. Returns the changes in the order in which they were made.
pub(crate) async fn apply(
    connection: &Connection,
    owner: &Owner,
    objects: &[KubeObject],
) -> Result<Vec<Change>, ClusterError> {
    let context = &connection.context;
    let mut ordered: Vec<&KubeObject> = objects.iter().collect();
    ordered.sort_by_key(|object| rank(object.reference()));
    let verb = if context.is_planning() {
        "compare"
    } else {
        "apply"
    };
    let what = match objects {
        [one] => one.reference().to_string(),
        some => format!("{} objects", some.len()),
    };
    let step = context.step(format!("{verb} {what}"));
    let tried = try_all(connection, owner, &ordered, &Planned::of(objects)).await?;
    consent(connection, &tried).await?;
    let mut changes: Vec<Change> = Vec::with_capacity(objects.len());
    if context.is_planning() {
        for tried in &tried {
            changes.push(tried.change());
        }
    } else {
        for group in tried.chunk_by(|a, b| rank(a.reference()) == rank(b.reference())) {
            // Collected first: a lazy stream would not be `Send` for every lifetime.
            let work: Vec<_> = group
                .iter()
                .map(|tried| write(connection, owner, tried))
                .collect();
            let done = stream::iter(work).buffered(PARALLEL).collect::<Vec<_>>();
            for change in context.unless_cancelled(done).await? {
                changes.push(change?);
            }
            for tried in group {
                let object = &tried.object;
                if rank(object.reference()) == Rank::Definition {
                    step.message(format!("waiting until {} is served", object.reference()));
                    context
                        .unless_cancelled(until_served(connection, object))
                        .await??;
                }
            }
            step.position(changes.len() as u64, objects.len() as u64, Unit::Items);
        }
    }
    let is_one = |change: &&Change| change.action != Action::Unchanged;
    match changes.iter().filter(is_one).count() {
        0 => step.skipped("no changes"),
        count => step.done(format!("{count} of {} changed", objects.len())),
    }
    Ok(changes)
}

/// What [`apply`] would change. Every object is tried, nobody is asked, nothing is written.
pub(crate) async fn preview(
    connection: &Connection,
    owner: &Owner,
    objects: &[KubeObject],
) -> Result<Vec<Change>, ClusterError> {
    let mut ordered: Vec<&KubeObject> = objects.iter().collect();
    ordered.sort_by_key(|object| rank(object.reference()));
    let tried = try_all(connection, owner, &ordered, &Planned::of(objects)).await?;
    Ok(tried.iter().map(Tried::change).collect())
}

/// Validates all objects; returns the error of the first one that is refused.
async fn try_all(
    connection: &Connection,
    owner: &Owner,
    objects: &[&KubeObject],
    planned: &Planned,
) -> Result<Vec<Tried>, ClusterError> {
    let work: Vec<_> = objects
        .iter()
        .map(|object| trial::try_one(connection, owner, object, planned))
        .collect();
    let tried = stream::iter(work).buffered(PARALLEL).collect::<Vec<_>>();
    let tried = connection.context.unless_cancelled(tried).await?;
    tried.into_iter().collect()
}

/// Asks for consent for all objects that would be taken from other owners.
async fn consent(connection: &Connection, tried: &[Tried]) -> Result<(), ClusterError> {
    let takeovers: Vec<Takeover> = tried
        .iter()
        .filter_map(|tried| {
            Some(Takeover {
                object: tried.reference().clone(),
                owner: tried.taken_from()?,
            })
        })
        .collect();
    if takeovers.is_empty() || connection.context.approve_takeovers(&takeovers).await? {
        return Ok(());
    }
    Err(ClusterError::OtherOwner { takeovers })
}

/// Writes a validated object if it differs.
async fn write(
    connection: &Connection,
    owner: &Owner,
    tried: &Tried,
) -> Result<Change, ClusterError> {
    let reference = tried.reference();
    let kind = match &tried.kind {
        Some(kind) => kind.clone(),
        None => connection
            .kind(reference)
            .await?
            .ok_or_else(|| ClusterError::UnknownKind {
                object: reference.clone(),
            })?,
    };
    let api = kind.api(&connection.client, reference);
    let takes_over = tried.taken_from().is_some();
    if let Some(before) = &tried.before
        && (takes_over || tried.standing.predecessor().is_some())
    {
        let predecessor = tried.standing.predecessor();
        hand_over(connection, owner, &api, reference, before, predecessor).await?;
    }
    if tried.verdict == Verdict::AsApplied {
        return Ok(tried.change());
    }
    if let (Verdict::Anew, Some(before)) = (&tried.verdict, &tried.before) {
        let uid = before["metadata"]["uid"].as_str();
        delete(connection, &kind, reference, uid).await?;
    }
    let after = send(connection, owner, &api, tried, takes_over || tried.force).await?;
    let change = match &tried.before {
        Some(_) if tried.verdict == Verdict::Anew => Change::new(Action::Update, reference.clone()),
        None => Change::new(Action::Create, reference.clone()),
        Some(before) => trial::updated(reference, before, &after),
    };
    let change = match &tried.verdict {
        // It no longer matters why it could not be validated.
        Verdict::Untried => change,
        _ => tried.noted(change),
    };
    if change.action != Action::Unchanged {
        connection.context.emit(Event::Changed {
            change: change.clone(),
        });
    }
    Ok(change)
}

/// Makes `owner` the manager of everything that an earlier version of Harmony, or the previous owner, applied.
/// Otherwise fields that `owner` no longer wants would not be removed.
async fn hand_over(
    connection: &Connection,
    owner: &Owner,
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
    before: &Value,
    predecessor: Option<&str>,
) -> Result<(), ClusterError> {
    let Some(entries) = handed_over(before, &owner.manager(), predecessor) else {
        return Ok(());
    };
    let version = &before["metadata"]["resourceVersion"];
    let steps = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": version },
        { "op": "replace", "path": "/metadata/managedFields", "value": entries },
    ]);
    let patch: Patch<()> =
        Patch::Json(
            serde_json::from_value(steps).map_err(|source| ClusterError::Request {
                verb: "transfer",
                object: reference.clone(),
                source: source.into(),
            })?,
        );
    let attempt = connection.attempt("transfer", reference);
    let parameters = PatchParams::default();
    let name = segment(reference);
    let request = api.patch(&name, &parameters, &patch);
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .map_err(|elapsed| attempt.timed_out(elapsed))?;
    match answer {
        Ok(_) => Ok(()),
        Err(error) => Err(attempt.failed(error)),
    }
}

async fn read(
    connection: &Connection,
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
) -> Result<Option<Value>, ClusterError> {
    let attempt = connection.attempt("read", reference);
    let name = segment(reference);
    tokio::time::timeout(REQUEST_TIMEOUT, api.get_opt(&name))
        .await
        .map_err(|elapsed| attempt.timed_out(elapsed))?
        .and_then(|found| found.map(to_value).transpose())
        .map_err(|error| attempt.failed(error))
}

/// The object after the apply.
async fn send(
    connection: &Connection,
    owner: &Owner,
    api: &Api<DynamicObject>,
    tried: &Tried,
    force: bool,
) -> Result<Value, ClusterError> {
    let reference = tried.reference();
    let parameters = PatchParams {
        force,
        ..PatchParams::apply(&owner.manager())
    };
    let patch = Patch::Apply(&tried.wanted);
    let attempt = connection.attempt("apply", reference);
    let began = Instant::now();
    let name = segment(reference);
    loop {
        let request = api.patch(&name, &parameters, &patch);
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request)
            .await
            .map_err(|elapsed| attempt.timed_out(elapsed))?;
        match answer {
            Ok(object) => return to_value(object).map_err(|error| attempt.failed(error)),
            Err(kube::Error::Api(status))
                if will_pass(&status) && began.elapsed() < PASSING_DEADLINE =>
            {
                tracing::debug!(object = %reference, message = status.message, "asking again");
                sleep(RETRY_EVERY).await;
            }
            Err(error) => return Err(attempt.failed(error)),
        }
    }
}

/// Transient errors of new namespaces and webhooks.
fn will_pass(status: &Status) -> bool {
    let message = status.message.as_str();
    let no_account = status.code == 403 && message.contains("error looking up service account");
    let no_webhook = status.code == 500 && message.contains("failed calling webhook");
    no_account || no_webhook
}

/// Waits until the definition is established and discovery returns its kind.
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

pub(crate) fn to_value(object: DynamicObject) -> Result<Value, kube::Error> {
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}
