//! What of a cluster answers: its version, and what we may do in the namespaces of the targets.

use async_trait::async_trait;
use futures_util::future::{join, try_join_all};
use harmony_core::capability::Checkup;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{self, Finding};
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, Origin};
use harmony_core::kubernetes::ObjectRef;
use harmony_types::Namespace;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{Api, PostParams};

use crate::Cluster;
use crate::connection::Connection;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// API group, resource, verbs.
type Needed = (&'static str, &'static str, &'static [&'static str]);

/// What every deploy does in its namespace. Kinds that only some charts have are not asked about.
const NEEDED: &[Needed] = &[
    ("", "namespaces", &["get"]),
    ("", "configmaps", WRITE),
    ("", "secrets", WRITE),
    ("", "services", WRITE),
    ("apps", "deployments", WRITE),
    // Readiness, and what is shown when something does not become ready.
    ("", "pods", READ),
    ("", "pods/log", &["get"]),
    ("", "events", READ),
    ("apps", "replicasets", READ),
    ("apps", "controllerrevisions", READ),
    ("discovery.k8s.io", "endpointslices", READ),
    // Smoke checks. Which of the verbs is asked for depends on the version of the server.
    ("", "pods/portforward", &["get", "create"]),
];

/// What a deploy to a namespace that does not exist does before.
const NEEDED_FOR_NAMESPACE: Needed = ("", "namespaces", &["create", "patch"]);

#[async_trait]
impl Checkup for Cluster {
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let part = format!("cluster {}", self.endpoint());
        let connection = match self.connected() {
            Ok(connection) => connection,
            Err(error) => return vec![Finding::failed(part, "answers", &error)],
        };
        let mut namespaces: Vec<&Namespace> =
            targets.iter().map(DeployTarget::target_namespace).collect();
        namespaces.sort();
        namespaces.dedup();
        let answers = checkup::check(&part, "answers", version(connection));
        let permissions = namespaces.into_iter().map(|namespace| {
            let check = format!("permissions in {namespace}");
            let part = &part;
            async move { checkup::check(part, &check, permissions(connection, namespace)).await }
        });
        let (answers, permissions) =
            join(answers, futures_util::future::join_all(permissions)).await;
        std::iter::once(answers).chain(permissions).collect()
    }
}

async fn version(connection: &Connection) -> Result<String, ClusterError> {
    let version = connection.client.apiserver_version().await;
    match version {
        Ok(version) => Ok(format!(
            "Kubernetes {} at {}",
            version.git_version, connection.endpoint
        )),
        Err(error) => Err(ClusterError::Unreachable {
            endpoint: connection.endpoint.clone(),
            source: error.into(),
        }),
    }
}

async fn permissions(
    connection: &Connection,
    namespace: &Namespace,
) -> Result<String, PermissionsError> {
    let asked = Asked {
        connection,
        about: &ObjectRef {
            api_version: "v1".into(),
            kind: "Namespace".into(),
            namespace: None,
            name: namespace
                .as_str()
                .parse()
                .expect("a namespace is the name of an object"),
        },
    };
    let mut denied = Vec::new();
    if !asked.namespace_exists().await? {
        denied.extend(asked.denied(None, &NEEDED_FOR_NAMESPACE).await?);
    }
    let asked = NEEDED
        .iter()
        .map(|needed| asked.denied(Some(namespace), needed));
    denied.extend(try_join_all(asked).await?.into_iter().flatten());
    if denied.is_empty() {
        return Ok("everything that a deploy needs".into());
    }
    Err(PermissionsError::Denied {
        user: user(connection).await,
        namespace: namespace.clone(),
        denied,
    })
}

/// Questions about a namespace.
struct Asked<'a> {
    connection: &'a Connection,
    about: &'a ObjectRef,
}

impl Asked<'_> {
    fn failed(&self, error: kube::Error) -> ClusterError {
        let attempt = self
            .connection
            .attempt("ask for permissions in", self.about);
        attempt.failed(error)
    }

    /// Without permission to read it, it is expected to exist.
    async fn namespace_exists(&self) -> Result<bool, ClusterError> {
        let api: Api<NamespaceObject> = Api::all(self.connection.client.clone());
        match api.get_metadata_opt(self.about.name.as_str()).await {
            Ok(found) => Ok(found.is_some()),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The verbs that are denied: `create, patch: deployments.apps`. Without a namespace, about objects that are in none.
    async fn denied(
        &self,
        namespace: Option<&Namespace>,
        (group, resource, verbs): &Needed,
    ) -> Result<Option<String>, ClusterError> {
        let asked = verbs.iter().map(|verb| async move {
            let is_allowed = self.allows(namespace, verb, group, resource).await?;
            Ok::<_, ClusterError>((!is_allowed).then_some(*verb))
        });
        let denied: Vec<&str> = try_join_all(asked).await?.into_iter().flatten().collect();
        let dot = if group.is_empty() { "" } else { "." };
        let denied_verbs = denied.join(", ");
        Ok((!denied.is_empty()).then(|| format!("{denied_verbs}: {resource}{dot}{group}")))
    }

    /// The request is a POST, but asks only.
    async fn allows(
        &self,
        namespace: Option<&Namespace>,
        verb: &str,
        group: &str,
        resource: &str,
    ) -> Result<bool, ClusterError> {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (resource, None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: namespace.map(Namespace::to_string),
                    verb: Some(verb.into()),
                    group: Some(group.into()),
                    resource: Some(resource.into()),
                    subresource: subresource.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.connection.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| self.failed(error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// The name of the user, if the server tells it: Kubernetes 1.28 or later.
async fn user(connection: &Connection) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(connection.client.clone());
    let review = SelfSubjectReview::default();
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    answer.status?.user_info?.username
}

/// A deploy would not be allowed.
#[derive(Debug, thiserror::Error)]
enum PermissionsError {
    #[error("{} lacks permissions in the namespace {namespace}", user.as_deref().map_or("this user".into(), |user| format!("the user {user}")))]
    Denied {
        /// Unknown if the server does not tell.
        user: Option<String>,
        namespace: Namespace,
        denied: Vec<String>,
    },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Diagnostic for PermissionsError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Denied { .. } => Origin::Own(codes::PERMISSIONS_MISSING),
            Self::Cluster(error) => Origin::Inner(error),
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Denied { denied, .. } => denied.clone(),
            Self::Cluster(_) => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Denied { namespace, .. } => vec![format!(
                "bind the user to a role with these permissions in {namespace}, such as the ClusterRole `edit`, or use \
                 another context"
            )],
            Self::Cluster(_) => Vec::new(),
        }
    }
}
