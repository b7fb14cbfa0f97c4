//! The objects that Flux reads: the HelmRelease of a delivery, the source of its chart, and the login for the registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::chart::DeployTarget;
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectQuery, ObjectRef};
use harmony_types::{ChartRef, LabelValue, Namespace, ObjectName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::marks::DELIVERY_LABEL;
use crate::marks::flux::{NAME_LABEL, NAMESPACE_LABEL, RELEASES, SOURCES, reference};

/// Flux begins as soon as this annotation changes, and reports the value that it has handled.
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// With the same value as the request: Flux applies the chart although it has done so before, because somebody may have
/// changed or deleted objects, and although it has failed before.
const FORCED: &str = "reconcile.fluxcd.io/forceAt";
const RESET: &str = "reconcile.fluxcd.io/resetAt";

/// By this label, several installations of Flux share the objects of a cluster.
const SHARD: &str = "sharding.fluxcd.io/key";

/// What is in a chart's artifact that Flux should take (Helm, HIP 6).
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Where Flux runs, and what it needs to pull from the registry.
#[derive(Debug, Clone)]
pub struct FluxSettings {
    /// The namespace of the controllers.
    pub namespace: Namespace,
    /// The shard of the controllers that deliver, if Flux is [sharded](https://fluxcd.io/flux/installation/configuration/sharding/).
    pub shard: Option<LabelValue>,
    /// The login for the registry; without one, charts are pulled anonymously.
    pub login: Option<FluxLogin>,
    /// Certificate authorities of the registry in PEM, in addition to those of the controller.
    pub authority: Option<String>,
}

impl Default for FluxSettings {
    /// Flux as its own command installs it, pulling anonymously.
    fn default() -> Self {
        Self {
            namespace: "flux-system".parse().expect("a valid name"),
            shard: None,
            login: None,
            authority: None,
        }
    }
}

/// A login for a registry.
#[derive(Debug, Clone)]
pub struct FluxLogin {
    /// The user name.
    pub user: String,
    /// The password or token.
    pub password: SecretString,
}

/// The HelmRelease of one delivery. It and everything beside it are in the namespace of the app.
pub(super) struct Release<'a> {
    pub(super) settings: &'a FluxSettings,
    pub(super) chart: &'a ChartRef,
    pub(super) target: &'a DeployTarget,
    pub(super) values: &'a Value,
}

impl Release<'_> {
    pub(super) fn reference(&self) -> ObjectRef {
        reference(self.target.target_namespace(), self.name())
    }

    pub(super) fn source_reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: SOURCES.into(),
            kind: "OCIRepository".into(),
            name: self.source_name(),
            ..self.reference()
        }
    }

    /// The Secrets in which Helm stores what it has installed.
    pub(super) fn storage(&self) -> ObjectQuery {
        let labels = [
            ("owner", "helm"),
            ("name", self.chart.name().as_str()),
            ("status", "deployed"),
        ];
        ObjectQuery {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(self.target.target_namespace().clone()),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    /// Each version has a source of its own. So the HelmRelease gets a chart and its values in one write, and Flux never
    /// applies one without the other.
    fn source_name(&self) -> ObjectName {
        let version = self.chart.version().to_string().to_ascii_lowercase();
        let version = version.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        // Both parts fit: a version is at most as long as a tag.
        ObjectName::parse(format!(
            "{}-{}",
            self.name(),
            version.trim_end_matches(['-', '.'])
        ))
        .expect("a name, a dash, and a version of letters and digits")
    }

    fn name(&self) -> ObjectName {
        ObjectName::parse(self.chart.name().as_str())
            .expect("the name of a delivery is a valid name")
    }

    /// Everything that Flux reads; with `run`, it begins at once.
    pub(super) fn objects(&self, run: Option<&str>) -> Result<Vec<KubeObject>, ObjectError> {
        let mut bodies = Vec::new();
        bodies.extend(self.login());
        bodies.extend(self.authority());
        bodies.push(self.source(run));
        bodies.push(self.release(run));
        bodies.into_iter().map(KubeObject::from_value).collect()
    }

    fn metadata(&self, suffix: &str) -> Value {
        json!({
            "name": format!("{}{suffix}", self.name()),
            "namespace": self.target.target_namespace().as_str(),
            "labels": { DELIVERY_LABEL: self.chart.name().as_str(), "app.kubernetes.io/managed-by": "harmony" },
        })
    }

    /// The metadata of an object that Flux handles, with a request by these annotations.
    fn handled(&self, name: &ObjectName, run: Option<&str>, annotations: &[&str]) -> Value {
        let mut metadata = self.metadata("");
        metadata["name"] = name.as_str().into();
        if let Some(run) = run {
            let requests = annotations.iter().map(|key| (*key, run));
            metadata["annotations"] = json!(requests.collect::<BTreeMap<_, _>>());
        }
        if let Some(shard) = &self.settings.shard {
            metadata["labels"][SHARD] = shard.as_str().into();
        }
        metadata
    }

    fn login(&self) -> Option<Value> {
        let login = self.settings.login.as_ref()?;
        let pair = format!("{}:{}", login.user, login.password.expose_secret());
        let logins = json!({ "auths": { self.chart.registry().to_string(): {
            "username": login.user, "password": login.password.expose_secret(), "auth": STANDARD.encode(pair),
        }}});
        Some(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": self.metadata("-flux-login"),
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": { ".dockerconfigjson": logins.to_string() },
        }))
    }

    fn authority(&self) -> Option<Value> {
        let authority = self.settings.authority.as_ref()?;
        Some(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": self.metadata("-flux-authority"),
            "type": "Opaque", "stringData": { "ca.crt": authority },
        }))
    }

    fn source(&self, run: Option<&str>) -> Value {
        let mut spec = json!({
            // A version never changes, so that there is nothing to look for.
            "interval": "24h",
            "url": format!("oci://{}/{}", self.chart.registry(), self.chart.repository()),
            "ref": { "tag": self.chart.version().to_string() },
            "layerSelector": { "mediaType": CONTENT, "operation": "copy" },
        });
        let secret = |suffix: &str| json!({ "name": format!("{}{suffix}", self.name()) });
        if self.settings.login.is_some() {
            spec["secretRef"] = secret("-flux-login");
        }
        if self.settings.authority.is_some() {
            spec["certSecretRef"] = secret("-flux-authority");
        }
        json!({ "apiVersion": SOURCES, "kind": "OCIRepository", "metadata": self.handled(&self.source_name(), run, &[REQUESTED]), "spec": spec })
    }

    fn release(&self, run: Option<&str>) -> Value {
        // Harmony waits and diagnoses by itself, and decides about another attempt.
        let action = json!({ "disableWait": true, "disableWaitForJobs": true, "remediation": { "retries": 0 },
            "crds": "CreateReplace" });
        let mut spec = json!({
            "interval": "24h",
            "releaseName": self.chart.name().as_str(),
            "chartRef": { "kind": "OCIRepository", "name": self.source_name().as_str() },
            "install": action,
            "upgrade": action,
            "test": { "enable": false },
        });
        if self
            .values
            .as_object()
            .is_some_and(|values| !values.is_empty())
        {
            spec["values"] = self.values.clone();
        }
        let metadata = self.handled(&self.name(), run, &[REQUESTED, FORCED, RESET]);
        json!({ "apiVersion": RELEASES, "kind": "HelmRelease", "metadata": metadata, "spec": spec })
    }
}

/// The object with the marks that Helm and Flux give it. Definitions may be in the folder `crds/` of the chart: those get
/// only the marks of Flux.
pub(super) fn marked(object: &KubeObject, release: &ObjectRef) -> Result<KubeObject, ObjectError> {
    let namespace = release.namespace.as_ref().map_or("", Namespace::as_str);
    let name = release.name.as_str();
    let of_flux = [(NAME_LABEL, name), (NAMESPACE_LABEL, namespace)];
    let mut marks = vec![("labels", BTreeMap::from(of_flux))];
    if object.reference().kind != "CustomResourceDefinition" {
        let of_helm = [
            ("meta.helm.sh/release-name", name),
            ("meta.helm.sh/release-namespace", namespace),
        ];
        let manager = [("app.kubernetes.io/managed-by", "Helm")];
        marks.push(("labels", manager.into()));
        marks.push(("annotations", of_helm.into()));
    }
    let mut body = object.body().clone();
    for (kind, marks) in marks {
        let field = &mut body["metadata"][kind];
        if !field.is_object() {
            *field = json!({});
        }
        for (key, value) in marks {
            field[key] = value.into();
        }
    }
    KubeObject::from_value(body)
}

/// What makes Helm keep an object.
pub(super) fn protected(object: &ObjectRef) -> Result<KubeObject, ObjectError> {
    let mut metadata = json!({
        "name": object.name.as_str(),
        "annotations": { "helm.sh/resource-policy": "keep" },
    });
    if let Some(namespace) = &object.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    KubeObject::from_value(json!({
        "apiVersion": object.api_version, "kind": object.kind, "metadata": metadata,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(version: &str) -> (FluxSettings, ChartRef, DeployTarget) {
        let settings = FluxSettings {
            shard: Some("shard1".parse().unwrap()),
            login: Some(FluxLogin {
                user: "robot".into(),
                password: "hunter2".to_owned().into(),
            }),
            authority: Some("PEM".into()),
            ..FluxSettings::default()
        };
        let chart = format!("oci://registry.example.com:5000/team/charts/web:{version}");
        let target = DeployTarget::namespace("shop".parse().unwrap());
        (settings, chart.parse().unwrap(), target)
    }

    #[test]
    fn a_release_names_the_source_of_its_version_and_asks_flux_to_begin() {
        let (settings, chart, target) = delivery("1.2.3-RC.1");
        let release = Release {
            settings: &settings,
            chart: &chart,
            target: &target,
            values: &json!({ "nats": { "url": "tls://nats" } }),
        };
        let objects = release.objects(Some("r1")).unwrap();
        let names: Vec<_> = objects
            .iter()
            .map(|object| object.reference().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "Secret shop/web-flux-login",
                "Secret shop/web-flux-authority",
                "OCIRepository shop/web-1.2.3-rc.1",
                "HelmRelease shop/web",
            ]
        );
        let [_, _, source, release] = objects.as_slice() else {
            panic!()
        };
        assert_eq!(source.body()["spec"]["ref"]["tag"], "1.2.3-RC.1");
        assert_eq!(release.body()["spec"]["chartRef"]["name"], "web-1.2.3-rc.1");
        assert_eq!(
            release.body()["spec"]["values"]["nats"]["url"],
            "tls://nats"
        );
        for object in [source, release] {
            let metadata = &object.body()["metadata"];
            assert_eq!(metadata["annotations"][REQUESTED], "r1");
            assert_eq!(metadata["labels"][SHARD], "shard1");
        }
        assert!(!format!("{settings:?} {objects:?}").contains("hunter2"));
    }

    #[test]
    fn a_definition_gets_the_marks_of_flux_alone() {
        let (settings, chart, target) = delivery("1.0.0");
        let release = Release {
            settings: &settings,
            chart: &chart,
            target: &target,
            values: &json!({}),
        };
        let marks = |api_version: &str, kind: &str| {
            let object = KubeObject::from_value(json!({
                "apiVersion": api_version, "kind": kind, "metadata": { "name": "a" },
            }));
            let marked = marked(&object.unwrap(), &release.reference()).unwrap();
            let metadata = &marked.body()["metadata"];
            assert_eq!(metadata["labels"][NAME_LABEL], "web");
            assert_eq!(metadata["labels"][NAMESPACE_LABEL], "shop");
            metadata["annotations"]["meta.helm.sh/release-name"].clone()
        };
        assert_eq!(marks("v1", "Namespace"), "web");
        let definition = marks("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        assert_eq!(definition, Value::Null);
    }
}
