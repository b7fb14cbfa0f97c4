//! The objects that Flux reads: the HelmRelease of a delivery, the source of its chart, and the login for the registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::chart::DeployTarget;
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_types::{ChartRef, Namespace, ObjectName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::marks::DELIVERY_LABEL;
use crate::marks::flux::{NAME_LABEL, NAMESPACE_LABEL, RELEASES, SOURCES, reference};

/// Flux begins as soon as this annotation changes, and reports the value that it has handled.
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// What is in a chart's artifact that Flux should take (Helm, HIP 6).
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// What Flux needs to pull from the registry.
#[derive(Debug, Clone, Default)]
pub struct FluxSettings {
    /// The namespace of the controllers, in which their state is looked up when they do not respond.
    pub namespace: Option<Namespace>,
    /// The login for the registry; without one, charts are pulled anonymously.
    pub login: Option<FluxLogin>,
    /// Certificate authorities of the registry in PEM, in addition to those of the controller.
    pub authority: Option<String>,
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
            ..self.reference()
        }
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

    fn requested(&self, run: Option<&str>) -> Value {
        let mut metadata = self.metadata("");
        if let Some(run) = run {
            metadata["annotations"] = json!({ REQUESTED: run });
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
        json!({ "apiVersion": SOURCES, "kind": "OCIRepository", "metadata": self.requested(run), "spec": spec })
    }

    fn release(&self, run: Option<&str>) -> Value {
        // Harmony waits and diagnoses by itself, and decides about another attempt.
        let action = json!({ "disableWait": true, "disableWaitForJobs": true, "remediation": { "retries": 0 } });
        let mut spec = json!({
            "interval": "24h",
            "releaseName": self.chart.name().as_str(),
            "chartRef": { "kind": "OCIRepository", "name": self.name().as_str() },
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
        json!({ "apiVersion": RELEASES, "kind": "HelmRelease", "metadata": self.requested(run), "spec": spec })
    }
}

/// The object with the marks that Helm and Flux give it.
pub(super) fn marked(object: &KubeObject, release: &ObjectRef) -> Result<KubeObject, ObjectError> {
    let namespace = release.namespace.as_ref().map_or("", Namespace::as_str);
    let name = release.name.as_str();
    let marks = [
        (
            "labels",
            BTreeMap::from([
                ("app.kubernetes.io/managed-by", "Helm"),
                (NAME_LABEL, name),
                (NAMESPACE_LABEL, namespace),
            ]),
        ),
        (
            "annotations",
            BTreeMap::from([
                ("meta.helm.sh/release-name", name),
                ("meta.helm.sh/release-namespace", namespace),
            ]),
        ),
    ];
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
