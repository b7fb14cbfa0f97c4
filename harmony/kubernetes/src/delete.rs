//! Deletes one object and waits until it is gone.

use std::time::Duration;

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::event::Event;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::outcome::{Action, Change};
use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use tokio::time::{Instant, sleep};

use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::kinds::{Kind, segment};

/// The timeout until a deleted object is gone; namespaces take longest.
const DELETE_DEADLINE: Duration = Duration::from_secs(120);

/// Deletes the object with that UID. A new object of the same name is left alone, because the old one is already gone.
pub(crate) async fn delete(
    connection: &Connection,
    kind: &Kind,
    object: &ObjectRef,
    uid: Option<&str>,
) -> Result<Change, ClusterError> {
    let api = kind.api(&connection.client, object);
    let name = &segment(object);
    let attempt = connection.attempt("delete", object);
    let context = &connection.context;
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: uid.map(|uid| Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let request = tokio::time::timeout(REQUEST_TIMEOUT, api.delete(name, &parameters));
    let answer = request
        .await
        .map_err(|elapsed| attempt.timed_out(elapsed))?;
    match answer {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
            let change = Change::new(Action::Unchanged, object.clone());
            return Ok(change.with_note("already deleted"));
        }
        Err(error) => return Err(attempt.failed(error)),
    }
    let change = Change::new(Action::Delete, object.clone());
    context.emit(Event::Changed {
        change: change.clone(),
    });
    let began = Instant::now();
    loop {
        let found = context
            .unless_cancelled(api.get_metadata_opt(name))
            .await?
            .map_err(|error| attempt.failed(error))?;
        let Some(found) = found.filter(|found| uid.is_none() || found.uid().as_deref() == uid)
        else {
            return Ok(change);
        };
        if began.elapsed() > DELETE_DEADLINE {
            let finalizers = match found.finalizers() {
                [] => "none".to_owned(),
                some => some.join(", "),
            };
            return Err(ClusterError::Refused {
                object: object.clone(),
                reason: format!(
                    "it still exists {} s after it was deleted (finalizers: {finalizers})",
                    DELETE_DEADLINE.as_secs(),
                ),
                fields: Vec::new(),
            });
        }
        let is_early = began.elapsed() < Duration::from_secs(2);
        sleep(Duration::from_millis(if is_early { 100 } else { 500 })).await;
    }
}
