//! Keeping objects in a Kubernetes cluster as they are wanted.

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

/// Is a Kubernetes cluster. Providers: any conformant cluster.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` is no Kubernetes cluster",
    label = "this topology lacks the capability `KubernetesCluster`",
    note = "give `{Self}` a cluster, for example `harmony_kubernetes::Cluster`, and delegate `KubernetesCluster` to it"
)]
pub trait KubernetesCluster: Send + Sync {
    /// Applies the objects, ordered by kind (namespaces and definitions first), and says what changed in each.
    ///
    /// Every object is tried before the first one is written. Fields that `owner` does not set are left alone; a field
    /// that another manager owns and `owner` wants otherwise is a [`ClusterError::Conflict`]. Planning asks the server
    /// what it would do and writes nothing.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn apply(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError>;

    /// What [`KubernetesCluster::apply`] would change, in the same order. Every object is tried, and nothing is written,
    /// planning or not.
    ///
    /// # Errors
    /// Those of an apply, as far as they are known before the first write.
    async fn preview(
        &self,
        owner: &Owner,
        objects: &[KubeObject],
    ) -> Result<Vec<Change>, ClusterError>;

    /// The object as the cluster holds it, after creating it as given if it does not exist. Of several that create it at
    /// the same moment one succeeds, and all get what that one created. Planning returns the object as it would be.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn get_or_create(
        &self,
        owner: &Owner,
        object: &KubeObject,
    ) -> Result<(KubeObject, Change), ClusterError>;

    /// Waits until the *current* revision of each object serves: generation observed, new pods ready, old ones gone or
    /// told to end.
    /// Objects that have no readiness of their own (a ConfigMap) are ready at once. Planning returns at once.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] as soon as it is clear that it will not become ready, at the latest after `deadline`.
    async fn wait_ready(
        &self,
        objects: &[ObjectRef],
        deadline: Duration,
    ) -> Result<(), ClusterError>;

    /// The object as it is; `None` when it does not exist.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn get(&self, object: &ObjectRef) -> Result<Option<KubeObject>, ClusterError>;

    /// Removes the object and waits until it is gone. An object that is not there is [`Action::Unchanged`].
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// [`Action::Unchanged`]: crate::outcome::Action::Unchanged
    async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError>;

    /// Removes exactly the object that [`KubernetesCluster::get`] returned, and waits until it is gone. An object of the
    /// same name that was created since is left alone.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError>;

    /// The objects that `query` is about, in the order of their names. A kind that the
    /// cluster does not know has none.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn list(&self, query: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError>;

    /// Its version and the kinds that it knows; `None` while planning against a cluster that does not exist yet, and for a
    /// cluster that does not tell.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn capabilities(&self) -> Result<Option<ClusterCapabilities>, ClusterError> {
        Ok(None)
    }
}

/// A cluster did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No answer.
    #[error("the cluster at `{endpoint}` cannot be reached")]
    Unreachable {
        /// The address of its API server.
        endpoint: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The kubeconfig does not say how to get there.
    #[error("the kubeconfig `{}` is not usable{}", path.display(), of_context(context.as_deref()))]
    Kubeconfig {
        /// Which file.
        path: PathBuf,
        /// Which context of it; `None` for its current one.
        context: Option<String>,
        /// The contexts that it has, as far as it can be read.
        contexts: Vec<String>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The proxy that is set for the cluster cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Objects belong to other owners, and nobody agreed to take them over. Nothing was written.
    #[error("{} would be overwritten", others(takeovers))]
    OtherOwner {
        /// Which objects, and whose they are.
        takeovers: Vec<Takeover>,
    },
    /// The object does not fit the schema of its kind. It was not written, and neither was anything else.
    #[error("{object} is not valid")]
    Invalid {
        /// Which object.
        object: ObjectRef,
        /// Each field that is wrong.
        fields: Vec<FieldFault>,
    },
    /// The cluster would store the object without fields that were asked for. Nothing was written.
    #[error("the cluster would drop fields of {object}")]
    Dropped {
        /// Which object.
        object: ObjectRef,
        /// Each field that would be missing.
        fields: Vec<FieldFault>,
    },
    /// The API server refuses the object or the request.
    #[error("the cluster refuses {object}: {reason}")]
    Refused {
        /// Which object.
        object: ObjectRef,
        /// The server's words.
        reason: String,
        /// Each field it complains of, with its complaint.
        fields: Vec<String>,
    },
    /// Another manager owns fields that we want otherwise.
    #[error("another manager owns fields of {object}")]
    Conflict {
        /// Which object.
        object: ObjectRef,
        /// `manager: field` of each conflict.
        owners: Vec<String>,
    },
    /// The cluster does not know this kind.
    #[error("the cluster does not know the kind of {object} ({})", object.api_version)]
    UnknownKind {
        /// Which object.
        object: ObjectRef,
    },
    /// We may not do this.
    #[error("the cluster forbids to {verb} {object}")]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: ObjectRef,
        /// The server's words.
        reason: String,
    },
    /// An object did not become ready.
    #[error(transparent)]
    NotReady(Box<Verdict>),
    /// The request failed in a way that has no name here.
    #[error("cannot {verb} {object}")]
    Request {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: ObjectRef,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The object to apply is not one.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An error of the adapter that needs more words than the above.
    #[error(transparent)]
    Adapter(AnyDiagnostic),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A field of an object that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Where: `spec.template.spec.containers[web].env[1].value`.
    pub path: String,
    /// What is wrong, without the value: that may be a secret.
    pub problem: String,
    /// What to do about it; empty when the problem says it.
    pub fix: String,
}

/// `metadata.labels.scrape: is a boolean, but must be a text`
impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.problem),
            path => write!(f, "{path}: {}", self.problem),
        }
    }
}

/// Each fix once.
fn fixes(fields: &[FieldFault]) -> Vec<String> {
    let mut fixes: Vec<String> = Vec::new();
    for field in fields {
        if !field.fix.is_empty() && !fixes.contains(&field.fix) {
            fixes.push(field.fix.clone());
        }
    }
    if fixes.is_empty() {
        fixes.push("correct the fields in the Score or chart that builds the object".into());
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
                vec![format!("its contexts: {}", contexts.join(", "))]
            }
            Self::Forbidden { reason, .. } => vec![reason.clone()],
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unreachable { .. } => vec![
                "check that the cluster runs and that the kubeconfig's address is right".into(),
            ],
            Self::Kubeconfig { .. } => vec![
                "set HARMONY_KUBECONFIG to a kubeconfig, and HARMONY_KUBE_CONTEXT to a context of it"
                    .into(),
            ],
            Self::Refused { .. } => {
                vec!["correct the object in the Score or chart that builds it".into()]
            }
            Self::OtherOwner { .. } => vec![
                "give one of the two objects another name".into(),
                "or remove the object from its present owner first".into(),
                "or run the command at a terminal and agree to take it over".into(),
            ],
            Self::Invalid { fields, .. } | Self::Dropped { fields, .. } => fixes(fields),
            Self::Conflict { .. } => {
                vec!["decide who owns the field: leave it out of the Score, or make the other manager give it up".into()]
            }
            Self::UnknownKind { .. } => vec![
                "install the definition of that kind (its CustomResourceDefinition) first".into(),
            ],
            Self::Forbidden { .. } => {
                vec!["ask for that right in that namespace, or use another context".into()]
            }
            Self::Request { .. } => {
                vec!["run the same command again: what was applied stays".into()]
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
