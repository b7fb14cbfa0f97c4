//! The adapter for one cluster, accessed with an explicit kubeconfig.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::{ClusterCapabilities, KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::kinds::{Kinds, segment};
use crate::{apply, client, create, delete, readiness};

/// A Kubernetes cluster. Cheap to clone; clones share the connection and the cached discovery of kinds.
///
/// If its [`Context`] plans, the transport allows only reads and dry runs.
#[derive(Clone)]
pub struct Cluster {
    state: Arc<State>,
}

enum State {
    Connected(Connection),
    /// The cluster does not exist yet; it can only be used for a plan.
    Absent {
        context: Context,
        name: String,
    },
}

impl Cluster {
    /// Connects to the cluster of a context of a kubeconfig file (by default the current context). No other place is
    /// read, so an ambient kubeconfig is never used by accident.
    ///
    /// # Errors
    /// [`ClusterError::Kubeconfig`] if the file or the credentials do not work, [`ClusterError::Unreachable`] if the
    /// server does not answer within a few seconds.
    pub async fn connect(
        context: &Context,
        kubeconfig: &Path,
        kubeconfig_context: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let connected = client::connect(context, kubeconfig, kubeconfig_context).await?;
        Ok(Self {
            state: Arc::new(State::Connected(Connection {
                context: context.clone(),
                client: connected.client,
                endpoint: connected.endpoint,
                kinds: Kinds::default(),
            })),
        })
    }

    /// A cluster that does not exist yet, for plans: it is empty, so everything would be created.
    ///
    /// Outside of planning, every operation returns [`ClusterError::Unreachable`].
    pub fn absent(context: &Context, name: impl Into<String>) -> Self {
        Self {
            state: Arc::new(State::Absent {
                context: context.clone(),
                name: name.into(),
            }),
        }
    }

    /// Whether the cluster does not exist yet.
    pub fn is_absent(&self) -> bool {
        matches!(&*self.state, State::Absent { .. })
    }

    /// The address of the API server, or the name of a cluster that does not exist yet.
    pub fn endpoint(&self) -> &str {
        match &*self.state {
            State::Connected(connection) => &connection.endpoint,
            State::Absent { name, .. } => name,
        }
    }

    /// `None` if a plan is made for a cluster that does not exist yet.
    pub(crate) fn connection(&self) -> Result<Option<&Connection>, ClusterError> {
        match &*self.state {
            State::Connected(connection) => Ok(Some(connection)),
            State::Absent { context, .. } if context.is_planning() => Ok(None),
            State::Absent { name, .. } => Err(ClusterError::Unreachable {
                endpoint: name.clone(),
                source: "it was not started".into(),
            }),
        }
    }

    /// Like [`Cluster::connection`], for operations that make no sense in a plan.
    pub(crate) fn connected(&self) -> Result<&Connection, ClusterError> {
        self.connection()?.ok_or_else(|| ClusterError::Unreachable {
            endpoint: self.endpoint().to_owned(),
            source: "it does not exist yet, and a plan does not start it".into(),
        })
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.state {
            State::Connected(connection) => write!(f, "Cluster({})", connection.endpoint),
            State::Absent { name, .. } => write!(f, "Cluster({name}, absent)"),
        }
    }
}

#[async_trait]
impl KubernetesCluster for Cluster {
    async fn apply(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError> {
        match self.connection()? {
            Some(connection) => apply::apply(connection, owner, objects).await,
            None => Ok(objects
                .iter()
                .map(|object| Change::new(Action::Create, object.reference().clone()))
                .collect()),
        }
    }

    async fn preview(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError> {
        match self.connection()? {
            Some(connection) => {
                let tried = apply::preview(connection, owner, objects);
                connection.context.unless_cancelled(tried).await?
            }
            None => Ok(objects
                .iter()
                .map(|object| Change::new(Action::Create, object.reference().clone()))
                .collect()),
        }
    }

    async fn get_or_create(
        &self,
        owner: &Owner,
        object: &KubeObject,
    ) -> Result<(KubeObject, Change), ClusterError> {
        let reference = object.reference();
        if let Some(found) = self.get(reference).await? {
            return Ok((found, Change::new(Action::Unchanged, reference.clone())));
        }
        let created = Change::new(Action::Create, reference.clone());
        match self.connection()? {
            Some(connection) if !connection.context.is_planning() => {
                match create::create(connection, owner, object).await? {
                    Some(stored) => Ok((stored, created)),
                    // Somebody else created it first.
                    None => match self.get(reference).await? {
                        Some(found) => {
                            Ok((found, Change::new(Action::Unchanged, reference.clone())))
                        }
                        None => Err(ClusterError::Refused {
                            object: reference.clone(),
                            reason: "it exists, but cannot be read".into(),
                            fields: Vec::new(),
                        }),
                    },
                }
            }
            _ => Ok((object.clone(), created)),
        }
    }

    async fn wait_ready(
        &self,
        objects: &[ObjectRef],
        deadline: Duration,
    ) -> Result<(), ClusterError> {
        match self.connection()? {
            Some(connection) if !connection.context.is_planning() => {
                readiness::wait_ready(connection, objects, deadline).await
            }
            _ => Ok(()),
        }
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<KubeObject>, ClusterError> {
        let Some(connection) = self.connection()? else {
            return Ok(None);
        };
        let Some(kind) = connection.kind(object).await? else {
            return Ok(None);
        };
        let attempt = connection.attempt("read", object);
        let api = kind.api(&connection.client, object);
        let name = segment(object);
        let request = tokio::time::timeout(REQUEST_TIMEOUT, api.get_opt(&name));
        let found = connection
            .context
            .unless_cancelled(request)
            .await?
            .map_err(|elapsed| attempt.timed_out(elapsed))?
            .map_err(|error| attempt.failed(error))?;
        let Some(found) = found else {
            return Ok(None);
        };
        let body = apply::to_value(found).map_err(|error| attempt.failed(error))?;
        Ok(Some(KubeObject::observed(body)?))
    }

    async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError> {
        match self.get(object).await? {
            Some(found) => self.delete_observed(&found).await,
            None => Ok(Change::new(Action::Unchanged, object.clone())),
        }
    }

    async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError> {
        let reference = object.reference();
        let unchanged = || Ok(Change::new(Action::Unchanged, reference.clone()));
        let Some(connection) = self.connection()? else {
            return unchanged();
        };
        if connection.context.is_planning() {
            return Ok(Change::new(Action::Delete, reference.clone()));
        }
        let Some(kind) = connection.kind(reference).await? else {
            return unchanged();
        };
        let uid = object.body()["metadata"]["uid"].as_str();
        delete::delete(connection, &kind, reference, uid).await
    }

    async fn capabilities(&self) -> Result<Option<ClusterCapabilities>, ClusterError> {
        match self.connection()? {
            Some(connection) => Ok(Some(connection.capabilities().await?)),
            None => Ok(None),
        }
    }

    async fn list(&self, query: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError> {
        let Some(connection) = self.connection()? else {
            return Ok(Vec::new());
        };
        let reference = |name, namespace| ObjectRef {
            api_version: query.api_version.clone(),
            kind: query.kind.clone(),
            namespace,
            name,
        };
        // A placeholder where one object is required: to find the kind, and in errors.
        let all = reference(
            "all".parse().expect("a valid name"),
            query.namespace.clone(),
        );
        let Some(kind) = connection.kind(&all).await? else {
            return Ok(Vec::new());
        };
        let api = match &query.namespace {
            Some(_) => kind.api(&connection.client, &all),
            None => Api::all_with(connection.client.clone(), &kind.resource),
        };
        let labels: Vec<String> = query
            .labels
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        let parameters = ListParams::default().labels(&labels.join(","));
        let attempt = connection.attempt("list", &all);
        let request = tokio::time::timeout(REQUEST_TIMEOUT, api.list_metadata(&parameters));
        let listed = connection
            .context
            .unless_cancelled(request)
            .await?
            .map_err(|elapsed| attempt.timed_out(elapsed))?
            .map_err(|error| attempt.failed(error))?;
        let named = listed.items.iter().filter_map(|found| {
            let namespace = found.namespace().map(|name| name.parse()).transpose();
            Some(reference(found.name_any().parse().ok()?, namespace.ok()?))
        });
        let mut named: Vec<ObjectRef> = named.collect();
        named.sort();
        Ok(named)
    }
}
