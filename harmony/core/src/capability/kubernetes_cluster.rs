//! Applying objects to a Kubernetes cluster.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ambassador::delegatable_trait;
use async_trait::async_trait;

use crate::approval::Takeover;
use crate::codes;
use crate::context::Cancelled;
use crate::diagnostic::{AnyDiagnostic, BoxError, Diagnostic, FailureKind, Origin};
use crate::kubernetes::{ClusterCapabilities, KubeObject, ObjectError, ObjectQuery, ObjectRef};
use crate::outcome::Change;
use crate::owner::Owner;
use crate::proxy::ProxyError;
use crate::verdict::Verdict;

/// A Kubernetes cluster. Providers: any conformant cluster.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` is not a Kubernetes cluster",
    label = "this topology lacks the capability `KubernetesCluster`",
    note = "give `{Self}` a cluster, for example `harmony_kubernetes::Cluster`, and delegate `KubernetesCluster` to it"
)]
pub trait KubernetesCluster: Send + Sync {
    /// Applies the objects, sorted by kind (namespaces and definitions first), and returns the change to each of them.
    ///
    /// All objects are checked before the first one is written. Fields that `owner` does not set are not changed. If
    /// another manager owns a field that `owner` wants to change, this is a [`ClusterError::Conflict`]. While planning,
    /// it asks the server what it would do, and writes nothing.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn apply(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError>;

    /// The changes that [`KubernetesCluster::apply`] would make, in the same order. All objects are checked, and nothing
    /// is written, whether or not this is a plan.
    ///
    /// # Errors
    /// Those of an apply that can be found before the first write.
    async fn preview(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError>;

    /// Creates the object if it does not exist, and returns the object in the cluster. If several callers create it at
    /// the same time, one of them succeeds and all get the same object. While planning, it returns the object as it
    /// would be.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn get_or_create(
        &self,
        owner: &Owner,
        object: &KubeObject,
    ) -> Result<(KubeObject, Change), ClusterError>;

    /// Waits until the *current* revision of each object is ready: the generation is observed, new pods are ready, and
    /// old pods are gone or terminating. Objects without a readiness state, such as a ConfigMap, are ready immediately.
    /// While planning, it returns immediately.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] as soon as it is clear that an object will not become ready, and after `deadline` at
    /// the latest.
    async fn wait_ready(
        &self,
        objects: &[ObjectRef],
        deadline: Duration,
    ) -> Result<(), ClusterError>;

    /// Reads the object; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn get(&self, object: &ObjectRef) -> Result<Option<KubeObject>, ClusterError>;

    /// Deletes the object and waits until it is gone. If it does not exist, returns [`Action::Unchanged`].
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// [`Action::Unchanged`]: crate::outcome::Action::Unchanged
    async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError>;

    /// Deletes exactly the object that [`KubernetesCluster::get`] returned, and waits until it is gone. Does not delete
    /// a newer object with the same name.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError>;

    /// The objects that match `query`, sorted by name. The list is empty if the cluster does not know the kind.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn list(&self, query: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError>;

    /// The version and the supported kinds of the cluster. `None` while planning for a cluster that does not exist yet,
    /// and for a cluster that does not provide this information.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn capabilities(&self) -> Result<Option<ClusterCapabilities>, ClusterError> {
        Ok(None)
    }
}

/// An error of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The cluster does not answer.
    #[error("the cluster at `{endpoint}` cannot be reached")]
    Unreachable {
        /// The address of the API server.
        endpoint: String,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig `{}`{}", path.display(), of_context(context.as_deref()))]
    Kubeconfig {
        /// The path of the file.
        path: PathBuf,
        /// The context; `None` for the current context.
        context: Option<String>,
        /// The contexts in the file, if it can be parsed.
        contexts: Vec<String>,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The proxy for the cluster cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Objects have other owners, and taking them over was not approved. Nothing was written.
    #[error("{} would be overwritten", others(takeovers))]
    OtherOwner {
        /// The objects and their owners.
        takeovers: Vec<Takeover>,
    },
    /// The object does not match the schema of its kind. Nothing was written.
    #[error("{object} is not valid")]
    Invalid {
        /// The object.
        object: ObjectRef,
        /// The invalid fields.
        fields: Vec<FieldFault>,
    },
    /// The cluster would store the object without some of its fields. Nothing was written.
    #[error("the cluster would drop fields of {object}")]
    Dropped {
        /// The object.
        object: ObjectRef,
        /// The fields that would be dropped.
        fields: Vec<FieldFault>,
    },
    /// The API server rejected the object or the request.
    #[error("the cluster rejected {object}: {reason}")]
    Refused {
        /// The object.
        object: ObjectRef,
        /// The message of the API server.
        reason: String,
        /// The fields that were rejected, with the reasons.
        fields: Vec<String>,
    },
    /// Another field manager owns fields that should be changed.
    #[error("another field manager owns fields of {object}")]
    Conflict {
        /// The object.
        object: ObjectRef,
        /// `manager: field` for each conflict.
        owners: Vec<String>,
    },
    /// The cluster does not know the kind.
    #[error("the cluster does not know the kind of {object} ({})", object.api_version)]
    UnknownKind {
        /// The object.
        object: ObjectRef,
    },
    /// The user is not allowed to do this.
    #[error("the cluster does not allow this user to {verb} {object}")]
    Forbidden {
        /// The operation.
        verb: &'static str,
        /// The object of the operation.
        object: ObjectRef,
        /// The message of the API server.
        reason: String,
    },
    /// An object did not become ready.
    #[error(transparent)]
    NotReady(Box<Verdict>),
    /// The request failed for another reason.
    #[error("cannot {verb} {object}")]
    Request {
        /// The operation.
        verb: &'static str,
        /// The object of the operation.
        object: ObjectRef,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The value is not a valid object.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Another error of the adapter.
    #[error(transparent)]
    Adapter(AnyDiagnostic),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// An invalid field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The path: `spec.template.spec.containers[web].env[1].value`.
    pub path: String,
    /// The problem, without the value, which can be a secret.
    pub problem: String,
    /// How to fix it; empty if this is clear from the problem.
    pub fix: String,
}

/// `metadata.labels.scrape: is a boolean, but must be a string`
impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.problem),
            path => write!(f, "{path}: {}", self.problem),
        }
    }
}

/// The fixes, without duplicates.
fn fixes(fields: &[FieldFault]) -> Vec<String> {
    let mut fixes: Vec<String> = Vec::new();
    for field in fields {
        if !field.fix.is_empty() && !fixes.contains(&field.fix) {
            fixes.push(field.fix.clone());
        }
    }
    if fixes.is_empty() {
        fixes.push("fix these fields in the Score or chart that creates the object".into());
    }
    fixes
}

fn others(takeovers: &[Takeover]) -> String {
    match takeovers {
        [one] => format!("{} belongs to {} and", one.object, one.owner),
        some => format!("{} objects of other owners", some.len()),
    }
}

impl Diagnostic for ClusterError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Unreachable { .. } => Origin::Own(codes::CLUSTER_UNREACHABLE),
            Self::Kubeconfig { .. } => Origin::Own(codes::KUBECONFIG_UNUSABLE),
            Self::Refused { .. } => Origin::Own(codes::OBJECT_REFUSED),
            Self::Conflict { .. } => Origin::Own(codes::FIELD_CONFLICT),
            Self::UnknownKind { .. } => Origin::Own(codes::UNKNOWN_KIND),
            Self::Forbidden { .. } => Origin::Own(codes::CLUSTER_FORBIDS),
            Self::Request { .. } => Origin::Own(codes::CLUSTER_REQUEST),
            Self::OtherOwner { .. } => Origin::Own(codes::OTHER_OWNER),
            Self::Invalid { .. } => Origin::Own(codes::OBJECT_INVALID),
            Self::Dropped { .. } => Origin::Own(codes::FIELDS_DROPPED),
            Self::Proxy(error) => Origin::Inner(error),
            Self::NotReady(verdict) => Origin::Inner(&**verdict),
            Self::Object(error) => Origin::Inner(error),
            Self::Adapter(error) => Origin::Inner(error),
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Kubeconfig { .. }
            | Self::Proxy(_)
            | Self::OtherOwner { .. }
            | Self::Invalid { .. }
            | Self::Dropped { .. } => FailureKind::Refused,
            _ => FailureKind::Failed,
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Refused { object, .. }
            | Self::Conflict { object, .. }
            | Self::Invalid { object, .. }
            | Self::Dropped { object, .. } => Some(object.to_string()),
            Self::OtherOwner { takeovers } => takeovers
                .first()
                .map(|takeover| takeover.object.to_string()),
            _ => None,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Refused { fields, .. } => fields.clone(),
            Self::Conflict { owners, .. } => owners.clone(),
            Self::OtherOwner { takeovers } => takeovers.iter().map(Takeover::to_string).collect(),
            Self::Invalid { fields, .. } | Self::Dropped { fields, .. } => {
                fields.iter().map(FieldFault::to_string).collect()
            }
            Self::Kubeconfig { contexts, .. } if !contexts.is_empty() => {
                vec![format!("contexts in this file: {}", contexts.join(", "))]
            }
            Self::Forbidden { reason, .. } => vec![reason.clone()],
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unreachable { .. } => vec![
                "check that the cluster is running and that the address in the kubeconfig is correct".into(),
            ],
            Self::Kubeconfig { .. } => vec![
                "set HARMONY_KUBECONFIG to a kubeconfig file, and HARMONY_KUBE_CONTEXT to one of its contexts"
                    .into(),
            ],
            Self::Refused { .. } => {
                vec!["fix the object in the Score or chart that creates it".into()]
            }
            Self::OtherOwner { .. } => vec![
                "rename one of the two objects".into(),
                "or remove the object from its current owner first".into(),
                "or run the command on a terminal and approve taking it over".into(),
            ],
            Self::Invalid { fields, .. } | Self::Dropped { fields, .. } => fixes(fields),
            Self::Conflict { .. } => {
                vec!["remove the field from the Score, or make the other manager release it".into()]
            }
            Self::UnknownKind { .. } => vec![
                "install the CustomResourceDefinition of this kind first".into(),
            ],
            Self::Forbidden { .. } => {
                vec!["ask for this permission in the namespace, or use another context".into()]
            }
            Self::Request { .. } => {
                vec!["run the same command again; objects that were already applied stay".into()]
            }
            Self::NotReady(_)
            | Self::Object(_)
            | Self::Proxy(_)
            | Self::Adapter(_)
            | Self::Cancelled(_) => Vec::new(),
        }
    }
}

fn of_context(context: Option<&str>) -> String {
    context
        .map(|context| format!(" with the context `{context}`"))
        .unwrap_or_default()
}
