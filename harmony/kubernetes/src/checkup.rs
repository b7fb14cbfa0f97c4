//! What of a cluster answers: its version, and what we may do in the namespaces of the targets.

use async_trait::async_trait;
use futures_util::future::{join, try_join_all};
use harmony_core::capability::Checkup;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{self, Finding};
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, Origin};
use harmony_types::Namespace;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use crate::Cluster;
use crate::connection::Connection;

/// What a deploy does in its namespace: verb, API group, resource.
const NEEDED: &[(&str, &str, &str)] = &[
    ("patch", "apps", "deployments"),
    ("patch", "", "services"),
    ("patch", "", "configmaps"),
    ("patch", "", "secrets"),
    ("list", "", "pods"),
    ("watch", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
    // Smoke checks.
    ("create", "", "pods/portforward"),
];

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
        Err(error) => Err(unreachable(connection, error)),
    }
}

async fn permissions(
    connection: &Connection,
    namespace: &Namespace,
) -> Result<String, PermissionsError> {
    let reviews = NEEDED
        .iter()
        .map(|needed| review(connection, namespace, *needed));
    let denied: Vec<String> = try_join_all(reviews).await?.into_iter().flatten().collect();
    if denied.is_empty() {
        return Ok("everything that a deploy needs".into());
    }
    Err(PermissionsError::Denied {
        namespace: namespace.clone(),
        denied,
    })
}

/// What is denied, for people. The request is a POST, but asks only.
async fn review(
    connection: &Connection,
    namespace: &Namespace,
    (verb, group, resource): (&str, &str, &str),
) -> Result<Option<String>, ClusterError> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource)),
        None => (resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_string()),
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
    let api: Api<SelfSubjectAccessReview> = Api::all(connection.client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| unreachable(connection, error))?;
    let is_allowed = answer.status.is_some_and(|status| status.allowed);
    let resource = match subresource {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.to_owned(),
    };
    Ok((!is_allowed).then(|| format!("{verb} {resource}")))
}

fn unreachable(connection: &Connection, error: kube::Error) -> ClusterError {
    ClusterError::Unreachable {
        endpoint: connection.endpoint.clone(),
        source: error.into(),
    }
}

/// A deploy would not be allowed.
#[derive(Debug, thiserror::Error)]
enum PermissionsError {
    #[error("this user may not {} in the namespace {namespace}", denied.join(", "))]
    Denied {
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

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Denied { namespace, .. } => vec![format!(
                "bind the user to a role with these permissions in {namespace}, such as the ClusterRole `admin`, or use \
                 another context"
            )],
            Self::Cluster(_) => Vec::new(),
        }
    }
}
