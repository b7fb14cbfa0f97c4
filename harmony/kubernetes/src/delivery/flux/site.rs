//! Where and with what a chart is delivered: the settings of Flux, and what both of its controllers need beside their own
//! object.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::capability::pull_accounts::RegistryLogin;
use harmony_core::chart::DeployTarget;
use harmony_core::kubernetes::ObjectRef;
use harmony_types::{ChartRef, LabelValue, Namespace, ObjectName};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::marks::DELIVERY_LABEL;
use crate::marks::flux::SOURCES;

/// Flux begins as soon as this annotation changes, and reports the value that it has handled.
pub(super) const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// By this label, several installations of Flux share the objects of a cluster.
pub(super) const SHARD: &str = "sharding.fluxcd.io/key";

/// Where Flux runs, and what it needs to pull from the registry.
#[derive(Debug, Clone)]
pub struct FluxSettings {
    /// The namespace of the controllers.
    pub namespace: Namespace,
    /// The controller that applies.
    pub controller: FluxController,
    /// The shard of the controllers that deliver, if Flux is [sharded](https://fluxcd.io/flux/installation/configuration/sharding/).
    pub shard: Option<LabelValue>,
    /// The login for the registry; without one, charts are pulled anonymously.
    pub login: Option<RegistryLogin>,
    /// Certificate authorities of the registry in PEM, in addition to those of the controller.
    pub authority: Option<String>,
}

/// The controller of Flux that applies what its source-controller pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FluxController {
    /// The helm-controller installs charts.
    #[default]
    Helm,
    /// The kustomize-controller applies the objects that a release publishes beside its chart.
    Kustomize,
}

impl FluxController {
    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Helm => "helm-controller",
            Self::Kustomize => "kustomize-controller",
        }
    }
}

impl Default for FluxSettings {
    /// Flux as its own command installs it, pulling anonymously.
    fn default() -> Self {
        Self {
            namespace: "flux-system".parse().expect("a valid name"),
            controller: FluxController::default(),
            shard: None,
            login: None,
            authority: None,
        }
    }
}

/// One delivery. Everything that Flux reads for it is in the namespace of the app.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) settings: &'a FluxSettings,
    pub(super) chart: &'a ChartRef,
    pub(super) target: &'a DeployTarget,
}

impl Site<'_> {
    pub(super) fn namespace(&self) -> &Namespace {
        self.target.target_namespace()
    }

    pub(super) fn name(&self) -> ObjectName {
        ObjectName::parse(self.chart.name().as_str())
            .expect("the name of a delivery is a valid name")
    }

    /// The source of this version, whose name begins with that of the chart and `infix`.
    ///
    /// Each version has a source of its own. So Flux gets a version and its values in one write, and never applies one
    /// without the other.
    pub(super) fn source(&self, infix: &str) -> ObjectRef {
        let version = self.chart.version().to_string().to_ascii_lowercase();
        let version = version.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        let version = version.trim_end_matches(['-', '.']);
        // All parts fit: a version is at most as long as a tag.
        let name = ObjectName::parse(format!("{}{infix}{version}", self.name()));
        ObjectRef {
            api_version: SOURCES.into(),
            kind: "OCIRepository".into(),
            namespace: Some(self.namespace().clone()),
            name: name.expect("a name, a dash, and a version of letters and digits"),
        }
    }

    /// A source that pulls `reference` (a tag or a digest) from `repository`.
    pub(super) fn source_body(
        &self,
        source: &ObjectRef,
        repository: &str,
        reference: Value,
        run: Option<&str>,
    ) -> Value {
        let mut spec = json!({
            // A version never changes, so that there is nothing to look for.
            "interval": "24h",
            "url": format!("oci://{}/{repository}", self.chart.registry()),
            "ref": reference,
        });
        let secret = |suffix: &str| json!({ "name": format!("{}{suffix}", self.name()) });
        if self.settings.login.is_some() {
            spec["secretRef"] = secret("-flux-login");
        }
        if self.settings.authority.is_some() {
            spec["certSecretRef"] = secret("-flux-authority");
        }
        let metadata = self.handled(&source.name, run, &[REQUESTED]);
        json!({ "apiVersion": SOURCES, "kind": "OCIRepository", "metadata": metadata, "spec": spec })
    }

    /// What the source needs to pull.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Value> {
        [self.login(), self.authority()].into_iter().flatten()
    }

    fn metadata(&self, suffix: &str) -> Value {
        json!({
            "name": format!("{}{suffix}", self.name()),
            "namespace": self.namespace().as_str(),
            "labels": { DELIVERY_LABEL: self.chart.name().as_str(), "app.kubernetes.io/managed-by": "harmony" },
        })
    }

    /// The metadata of an object that Flux handles, with a request by these annotations.
    pub(super) fn handled(
        &self,
        name: &ObjectName,
        run: Option<&str>,
        annotations: &[&str],
    ) -> Value {
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
}
