//! The objects that Argo CD reads: the Application of a delivery, and the login for its registry.

use std::collections::BTreeMap;

use harmony_core::capability::pull_accounts::RegistryLogin;
use harmony_core::chart::DeployTarget;
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_types::{ChartRef, Namespace, ObjectName, ResourceName};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::marks::DELIVERY_LABEL;
use crate::marks::argocd::{API_VERSION, TRACKING, name};

/// Names the run that asked for a sync, in the `info` of the operation.
const RUN: &str = "harmony.dev/run";

/// Where Argo CD runs, and what it may deploy to.
#[derive(Debug, Clone)]
pub struct ArgoSettings {
    /// The namespace of Argo CD, which holds its Applications.
    pub namespace: Namespace,
    /// The AppProject of the Applications.
    pub project: ResourceName,
    /// The API server to deploy to, as Argo CD knows it.
    pub server: String,
    /// The login for the registry; without one, Argo CD uses what it already has, or none.
    pub login: Option<RegistryLogin>,
}

impl Default for ArgoSettings {
    /// Argo CD as its own manifests install it, deploying to the cluster it runs in.
    fn default() -> Self {
        Self {
            namespace: "argocd".parse().expect("a valid name"),
            project: "default".parse().expect("a valid name"),
            server: "https://kubernetes.default.svc".to_owned(),
            login: None,
        }
    }
}

/// The Application of one delivery.
pub(super) struct Application<'a> {
    pub(super) settings: &'a ArgoSettings,
    pub(super) chart: &'a ChartRef,
    pub(super) target: &'a DeployTarget,
    pub(super) values: &'a Value,
}

impl Application<'_> {
    pub(super) fn reference(&self) -> Result<ObjectRef, ObjectError> {
        reference(
            &self.settings.namespace,
            self.target.target_namespace(),
            self.chart.name().as_str(),
        )
    }

    /// Without an operation: what the cluster has between two deliveries.
    pub(super) fn object(&self) -> Result<KubeObject, ObjectError> {
        KubeObject::from_value(self.body())
    }

    /// With the request for a sync by the run `run`, which Argo CD removes when it begins.
    pub(super) fn syncing(&self, run: &str) -> Result<KubeObject, ObjectError> {
        let mut body = self.body();
        body["operation"] = json!({
            "initiatedBy": { "username": "harmony" },
            "info": [{ "name": RUN, "value": run }],
            "sync": {
                "revision": self.chart.version().to_string(),
                // Harmony removes what is old, because Argo CD would delete volumes.
                "prune": false,
                "syncOptions": sync_options(),
                "syncStrategy": { "hook": {} },
            },
        });
        KubeObject::from_value(body)
    }

    fn body(&self) -> Value {
        let ArgoSettings {
            namespace,
            project,
            server,
            ..
        } = self.settings;
        let mut helm = json!({ "releaseName": self.chart.name().as_str() });
        if self
            .values
            .as_object()
            .is_some_and(|values| !values.is_empty())
        {
            helm["valuesObject"] = self.values.clone();
        }
        json!({
            "apiVersion": API_VERSION,
            "kind": "Application",
            "metadata": {
                "name": name(self.target.target_namespace(), self.chart.name().as_str()),
                "namespace": namespace.as_str(),
                "labels": { DELIVERY_LABEL: self.chart.name().as_str(), "app.kubernetes.io/managed-by": "harmony" },
            },
            "spec": {
                "project": project.as_str(),
                "destination": { "server": server, "namespace": self.target.target_namespace().as_str() },
                "source": {
                    "repoURL": repository(self.chart),
                    "chart": self.chart.repository().to_string(),
                    "targetRevision": self.chart.version().to_string(),
                    "helm": helm,
                },
                "syncPolicy": { "syncOptions": sync_options() },
            },
        })
    }
}

/// The reference to the Application of a chart in a namespace.
fn reference(
    argocd: &Namespace,
    namespace: &Namespace,
    chart: &str,
) -> Result<ObjectRef, ObjectError> {
    let name = name(namespace, chart);
    let name = ObjectName::parse(name).map_err(|source| ObjectError::InvalidName {
        field: "metadata.name",
        kind: "Application".into(),
        source,
    })?;
    Ok(ObjectRef {
        api_version: API_VERSION.into(),
        kind: "Application".into(),
        namespace: Some(argocd.clone()),
        name,
    })
}

/// As Harmony applies: on the server, with its own fields only.
fn sync_options() -> [&'static str; 3] {
    [
        "ServerSideApply=true",
        "CreateNamespace=true",
        "ApplyOutOfSyncOnly=true",
    ]
}

/// The registry without a scheme, as Argo CD writes the address of a registry of charts, and without a path: helm logs in
/// to a host, and refuses anything else since version 4.
fn repository(chart: &ChartRef) -> String {
    chart.registry().to_string()
}

/// The Secret from which Argo CD learns that the address is a registry, and the login for it.
pub(super) fn repository_secret(
    settings: &ArgoSettings,
    chart: &ChartRef,
) -> Result<KubeObject, ObjectError> {
    let url = repository(chart);
    let mut data = BTreeMap::from([
        ("type", "helm".to_owned()),
        ("name", url.clone()),
        ("url", url.clone()),
        ("enableOCI", "true".to_owned()),
    ]);
    if let Some(login) = &settings.login {
        data.insert("username", login.user.clone());
        data.insert("password", login.password.expose_secret().to_owned());
    }
    let hash = Sha256::digest(&url);
    let hash: String = hash
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    KubeObject::from_value(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": format!("harmony-repository-{hash}"),
            "namespace": settings.namespace.as_str(),
            "labels": { "argocd.argoproj.io/secret-type": "repository", "app.kubernetes.io/managed-by": "harmony" },
        },
        "stringData": data,
    }))
}

/// The object as Argo CD applies it: with the annotation that names its Application. The namespace that it creates for the
/// others, which has no other fields, is none of its objects.
pub(super) fn tracked(object: &KubeObject, application: &str) -> Result<KubeObject, ObjectError> {
    let reference = object.reference();
    let is_bare = object.body()["metadata"]
        .as_object()
        .is_some_and(|fields| fields.len() == 1);
    if reference.kind == "Namespace" && is_bare {
        return Ok(object.clone());
    }
    let group = reference
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    let namespace = reference.namespace.as_ref().map_or("", Namespace::as_str);
    let id = format!(
        "{application}:{group}/{}:{namespace}/{}",
        reference.kind, reference.name
    );
    let mut body = object.body().clone();
    let annotations = &mut body["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[TRACKING] = id.into();
    KubeObject::from_value(body)
}

/// The run that asked for the operation, if it was one of Harmony's.
pub(super) fn run_of(operation: &Value) -> Option<&str> {
    operation["info"]
        .as_array()?
        .iter()
        .find(|info| info["name"] == RUN)?["value"]
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> ChartRef {
        "oci://registry.example.com:5000/team/charts/web:1.2.3"
            .parse()
            .unwrap()
    }

    fn target() -> DeployTarget {
        DeployTarget::namespace("shop".parse().unwrap())
    }

    #[test]
    fn an_application_names_the_chart_and_asks_for_a_sync() {
        let (settings, chart, target) = (ArgoSettings::default(), chart(), target());
        let application = Application {
            settings: &settings,
            chart: &chart,
            target: &target,
            values: &json!({ "nats": { "url": "tls://nats" } }),
        };
        let quiet = application.object().unwrap();
        assert_eq!(quiet.reference().to_string(), "Application argocd/shop.web");
        assert_eq!(quiet.body()["operation"], Value::Null);
        let syncing = application.syncing("r1").unwrap();
        assert_eq!(
            syncing.body()["spec"]["source"],
            json!({
                "repoURL": "registry.example.com:5000",
                "chart": "team/charts/web",
                "targetRevision": "1.2.3",
                "helm": { "releaseName": "web", "valuesObject": { "nats": { "url": "tls://nats" } } },
            })
        );
        let operation = &syncing.body()["operation"];
        assert_eq!(run_of(operation), Some("r1"));
        assert_eq!(operation["sync"]["prune"], false);
        assert_eq!(
            run_of(&json!({ "initiatedBy": { "username": "admin" } })),
            None
        );
    }

    #[test]
    fn two_pairs_of_namespace_and_chart_never_share_a_name() {
        let name = |namespace: &str, chart| name(&namespace.parse().unwrap(), chart);
        assert_ne!(name("a-b", "c"), name("a", "b-c"));
    }

    #[test]
    fn an_object_is_tracked_as_argo_cd_does() {
        let object = |value| KubeObject::from_value(value).unwrap();
        let tracking = |object: &KubeObject| {
            let tracked = tracked(object, "shop.web").unwrap();
            tracked.body()["metadata"]["annotations"][TRACKING]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let deployment = object(json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop" } }));
        assert_eq!(tracking(&deployment), "shop.web:apps/Deployment:shop/web");
        let role = object(
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "web", "annotations": { "a": "b" } } }),
        );
        assert_eq!(
            tracking(&role),
            "shop.web:rbac.authorization.k8s.io/ClusterRole:/web"
        );
        let account = object(json!({ "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "web", "namespace": "shop" } }));
        assert_eq!(tracking(&account), "shop.web:/ServiceAccount:shop/web");
    }

    #[test]
    fn the_login_is_not_in_debug_output() {
        let login = RegistryLogin {
            user: "robot".into(),
            password: "hunter2".to_owned().into(),
        };
        let settings = ArgoSettings {
            login: Some(login),
            ..ArgoSettings::default()
        };
        let secret = repository_secret(&settings, &chart()).unwrap();
        assert_eq!(secret.body()["stringData"]["password"], "hunter2");
        assert!(!format!("{settings:?} {secret:?}").contains("hunter2"));
    }
}
