//! The objects that the helm-controller reads: the HelmRelease of a delivery and the source of its chart.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectQuery, ObjectRef};
use harmony_types::Namespace;
use serde_json::{Value, json};

use super::site::{REQUESTED, Site};
use crate::marks::flux::{HELM_LABELS, RELEASES, release};

/// With the same value as the request: Flux applies the chart although it has done so before, because somebody may have
/// changed or deleted objects, and although it has failed before.
const FORCED: &str = "reconcile.fluxcd.io/forceAt";
const RESET: &str = "reconcile.fluxcd.io/resetAt";

/// What is in a chart's artifact that Flux should take (Helm, HIP 6).
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// The annotation that makes Helm keep an object.
pub(super) const KEEP: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// The HelmRelease of one delivery.
pub(super) struct Release<'a> {
    pub(super) site: Site<'a>,
    pub(super) values: &'a Value,
}

impl Release<'_> {
    pub(super) fn reference(&self) -> ObjectRef {
        release(self.site.namespace(), self.site.name())
    }

    pub(super) fn source(&self) -> ObjectRef {
        self.site.source("-")
    }

    /// The Secrets in which Helm stores what it has installed.
    pub(super) fn storage(&self) -> ObjectQuery {
        let labels = [
            ("owner", "helm"),
            ("name", self.site.chart.name().as_str()),
            ("status", "deployed"),
        ];
        ObjectQuery {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(self.site.namespace().clone()),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    /// Everything that Flux reads; with `run`, it begins at once.
    pub(super) fn objects(&self, run: Option<&str>) -> Result<Vec<KubeObject>, ObjectError> {
        let mut bodies: Vec<Value> = self.site.secrets().collect();
        bodies.push(self.source_body(run));
        bodies.push(self.body(run));
        bodies.into_iter().map(KubeObject::from_value).collect()
    }

    fn source_body(&self, run: Option<&str>) -> Value {
        let chart = self.site.chart;
        let tag = json!({ "tag": chart.version().to_string() });
        let repository = chart.repository();
        let mut body = self
            .site
            .source_body(&self.source(), repository.as_str(), tag, run);
        body["spec"]["layerSelector"] = json!({ "mediaType": CONTENT, "operation": "copy" });
        body
    }

    fn body(&self, run: Option<&str>) -> Value {
        // Harmony waits and diagnoses by itself, and decides about another attempt.
        let action = json!({ "disableWait": true, "disableWaitForJobs": true, "remediation": { "retries": 0 },
            "crds": "CreateReplace" });
        let mut spec = json!({
            "interval": "24h",
            "releaseName": self.site.chart.name().as_str(),
            "chartRef": { "kind": "OCIRepository", "name": self.source().name.as_str() },
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
        let name = self.site.name();
        let metadata = self.site.handled(&name, run, &[REQUESTED, FORCED, RESET]);
        json!({ "apiVersion": RELEASES, "kind": "HelmRelease", "metadata": metadata, "spec": spec })
    }
}

/// The object with the marks that Helm and Flux give it. Definitions may be in the folder `crds/` of the chart: those get
/// only the marks of Flux.
pub(super) fn marked(object: &KubeObject, release: &ObjectRef) -> Result<KubeObject, ObjectError> {
    let namespace = release.namespace.as_ref().map_or("", Namespace::as_str);
    let name = release.name.as_str();
    let of_flux = [(HELM_LABELS.name, name), (HELM_LABELS.namespace, namespace)];
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

#[cfg(test)]
mod tests {
    use harmony_core::chart::DeployTarget;
    use harmony_types::ChartRef;

    use super::super::site::{FluxSettings, SHARD};
    use super::*;
    use harmony_core::capability::pull_accounts::RegistryLogin;

    fn delivery(version: &str) -> (FluxSettings, ChartRef, DeployTarget) {
        let settings = FluxSettings {
            shard: Some("shard1".parse().unwrap()),
            login: Some(RegistryLogin {
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
            site: Site {
                settings: &settings,
                chart: &chart,
                target: &target,
            },
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
            site: Site {
                settings: &settings,
                chart: &chart,
                target: &target,
            },
            values: &json!({}),
        };
        let marks = |api_version: &str, kind: &str| {
            let object = KubeObject::from_value(json!({
                "apiVersion": api_version, "kind": kind, "metadata": { "name": "a" },
            }));
            let marked = marked(&object.unwrap(), &release.reference()).unwrap();
            let metadata = &marked.body()["metadata"];
            assert_eq!(metadata["labels"][HELM_LABELS.name], "web");
            assert_eq!(metadata["labels"][HELM_LABELS.namespace], "shop");
            metadata["annotations"]["meta.helm.sh/release-name"].clone()
        };
        assert_eq!(marks("v1", "Namespace"), "web");
        let definition = marks("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        assert_eq!(definition, Value::Null);
    }
}
