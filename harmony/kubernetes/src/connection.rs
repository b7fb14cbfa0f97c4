//! The connection that every operation on a cluster uses.

use std::time::Duration;

use harmony_core::Context;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::{ClusterCapabilities, ObjectRef};
use kube::Client;

use crate::fault::Attempt;
use crate::kinds::{Kind, Kinds};

/// The timeout of a request that is not a watch.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Connection {
    pub(crate) context: Context,
    pub(crate) client: Client,
    pub(crate) endpoint: String,
    pub(crate) kinds: Kinds,
}

impl Connection {
    pub(crate) fn attempt<'a>(&'a self, verb: &'static str, object: &'a ObjectRef) -> Attempt<'a> {
        Attempt {
            verb,
            object,
            endpoint: &self.endpoint,
        }
    }

    /// The version of the server and all its kinds.
    pub(crate) async fn capabilities(&self) -> Result<ClusterCapabilities, ClusterError> {
        let asked = async {
            let version = self.client.apiserver_version().await?;
            let kinds = self.kinds.all(&self.client).await?;
            Ok::<_, kube::Error>(ClusterCapabilities {
                version: version.git_version,
                kinds,
            })
        };
        let unreachable = |source: harmony_core::diagnostic::BoxError| ClusterError::Unreachable {
            endpoint: self.endpoint.clone(),
            source,
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(|error| unreachable(error.into())),
            Err(elapsed) => Err(unreachable(elapsed.into())),
        }
    }

    /// The kind of the object; `None` if the cluster does not know it.
    pub(crate) async fn kind(&self, object: &ObjectRef) -> Result<Option<Kind>, ClusterError> {
        let attempt = self.attempt("look up the kind of", object);
        tokio::time::timeout(REQUEST_TIMEOUT, self.kinds.find(&self.client, object))
            .await
            .map_err(|elapsed| attempt.timed_out(elapsed))?
            .map_err(|error| attempt.failed(error))
    }
}
