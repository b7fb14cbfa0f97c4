//! Creates an object that must not exist yet.

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::KubeObject;
use harmony_core::owner::Owner;
use kube::api::{DynamicObject, PostParams};

use crate::apply;
use crate::connection::{Connection, REQUEST_TIMEOUT};

/// Returns the created object, or `None` if one of that name exists.
pub(crate) async fn create(
    connection: &Connection,
    owner: &Owner,
    object: &KubeObject,
) -> Result<Option<KubeObject>, ClusterError> {
    let reference = object.reference();
    let Some(kind) = connection.kind(reference).await? else {
        return Err(ClusterError::UnknownKind {
            object: reference.clone(),
        });
    };
    let attempt = connection.attempt("create", reference);
    let body: DynamicObject = serde_json::from_value(object.body().clone())
        .map_err(|source| attempt.failed(kube::Error::SerdeError(source)))?;
    let parameters = PostParams {
        field_manager: Some(owner.manager()),
        ..PostParams::default()
    };
    let api = kind.api(&connection.client, reference);
    let request = tokio::time::timeout(REQUEST_TIMEOUT, api.create(&parameters, &body));
    let answer = connection
        .context
        .unless_cancelled(request)
        .await?
        .map_err(|elapsed| attempt.timed_out(elapsed))?;
    match answer {
        Ok(stored) => {
            let body = apply::to_value(stored).map_err(|error| attempt.failed(error))?;
            Ok(Some(KubeObject::observed(body)?))
        }
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
            Ok(None)
        }
        Err(error) => Err(attempt.failed(error)),
    }
}
