//! The objects that the kustomize-controller reads: the Kustomization of a delivery and the source of its objects.

use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_types::{Digest, ImageRef};
use serde_json::{Value, json};

use super::site::{REQUESTED, Site};
use crate::marks::flux::{KUSTOMIZATIONS, KUSTOMIZE_LABELS, OBJECTS, kustomization};

/// The annotation that makes Flux keep an object.
pub(super) const KEEP: (&str, &str) = ("kustomize.toolkit.fluxcd.io/prune", "disabled");

/// The Kustomization of one delivery.
pub(super) struct Kustomization<'a> {
    pub(super) site: Site<'a>,
    /// Where the registry has the objects.
    pub(super) objects: ImageRef,
    pub(super) digest: Digest,
    /// What turns them into those of the target.
    pub(super) patches: Vec<Value>,
}

impl Kustomization<'_> {
    pub(super) fn reference(&self) -> ObjectRef {
        kustomization(self.site.namespace(), self.site.name())
    }

    pub(super) fn source(&self) -> ObjectRef {
        self.site.source(OBJECTS)
    }

    /// Everything that Flux reads; with `run`, it begins at once.
    pub(super) fn objects(&self, run: Option<&str>) -> Result<Vec<KubeObject>, ObjectError> {
        let source = self.source();
        let mut bodies: Vec<Value> = self.site.secrets().collect();
        let digest = json!({ "digest": self.digest.to_string() });
        let repository = self.objects.repository().as_str();
        bodies.push(self.site.source_body(&source, repository, digest, run));
        bodies.push(self.body(&source, run));
        bodies.into_iter().map(KubeObject::from_value).collect()
    }

    fn body(&self, source: &ObjectRef, run: Option<&str>) -> Value {
        let mut spec = json!({
            "interval": "24h",
            "timeout": "5m",
            "sourceRef": { "kind": source.kind, "name": source.name.as_str() },
            "path": "./",
            // Harmony asks before, and protects what it keeps.
            "prune": true,
            // Harmony waits and diagnoses by itself, and deletes nothing to apply it again.
            "wait": false,
            "force": false,
        });
        if !self.patches.is_empty() {
            spec["patches"] = json!(self.patches);
        }
        let metadata = self.site.handled(&self.site.name(), run, &[REQUESTED]);
        json!({ "apiVersion": KUSTOMIZATIONS, "kind": "Kustomization", "metadata": metadata, "spec": spec })
    }
}

/// The object with the labels that Flux gives it.
pub(super) fn marked(object: &KubeObject, owner: &ObjectRef) -> Result<KubeObject, ObjectError> {
    let mut body = object.body().clone();
    let labels = &mut body["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    let namespace = owner.namespace.as_ref().map_or("", |name| name.as_str());
    labels[KUSTOMIZE_LABELS.name] = owner.name.as_str().into();
    labels[KUSTOMIZE_LABELS.namespace] = namespace.into();
    KubeObject::from_value(body)
}

/// The objects that Flux has applied for a Kustomization.
pub(super) fn applied(kustomization: &Value) -> Vec<ObjectRef> {
    let entries = kustomization["status"]["inventory"]["entries"].as_array();
    let entries = entries.into_iter().flatten();
    entries
        .filter_map(|entry| inventoried(entry["id"].as_str()?, entry["v"].as_str()?))
        .collect()
}

/// `NAMESPACE_NAME_GROUP_KIND`, with a colon in a name as `__`, which is possible in those of roles.
fn inventoried(id: &str, version: &str) -> Option<ObjectRef> {
    let (namespace, rest) = id.split_once('_')?;
    let (rest, kind) = rest.rsplit_once('_')?;
    let (name, group) = rest.rsplit_once('_')?;
    let api_version = match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    let mut metadata = json!({ "name": name.replace("__", ":") });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
    let object = KubeObject::observed(object).ok()?;
    Some(object.reference().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::flux::site::FluxSettings;
    use harmony_core::chart::DeployTarget;
    use harmony_types::ChartRef;

    #[test]
    fn a_kustomization_names_its_objects_by_digest_and_keeps_what_is_not_asked_about() {
        let settings = FluxSettings::default();
        let chart: ChartRef = "oci://r.example.com/team/charts/web:1.2.3".parse().unwrap();
        let target = DeployTarget::namespace("shop".parse().unwrap());
        let digest = Digest::sha256_from_bytes([7; 32]);
        let kustomization = Kustomization {
            site: Site {
                settings: &settings,
                chart: &chart,
                target: &target,
            },
            objects: "r.example.com/team/objects/web:1.2.3".parse().unwrap(),
            digest: digest.clone(),
            patches: Vec::new(),
        };
        let objects = kustomization.objects(Some("r1")).unwrap();
        let [source, own] = objects.as_slice() else {
            panic!("{objects:#?}")
        };
        assert_eq!(
            source.reference().to_string(),
            "OCIRepository shop/web-objects-1.2.3"
        );
        assert_eq!(
            source.body()["spec"]["url"],
            "oci://r.example.com/team/objects/web"
        );
        assert_eq!(source.body()["spec"]["ref"]["digest"], digest.to_string());
        assert_eq!(own.body()["spec"]["sourceRef"]["name"], "web-objects-1.2.3");
        assert_eq!(own.body()["metadata"]["annotations"][REQUESTED], "r1");
        let marked = marked(source, own.reference()).unwrap();
        assert!(KUSTOMIZE_LABELS.are_of(marked.body(), "web", "shop"));
    }

    #[test]
    fn the_inventory_of_flux_is_read() {
        let entry = |id: &str, version: &str| json!({ "id": id, "v": version });
        let status = json!({ "status": { "inventory": { "entries": [
            entry("shop_web_apps_Deployment", "v1"),
            entry("_web__admin_rbac.authorization.k8s.io_ClusterRole", "v1"),
            entry("shop_settings__ConfigMap", "v1"),
            entry("nothing", "v1"),
        ] } } });
        let names: Vec<_> = applied(&status)
            .iter()
            .map(|object| format!("{} {object}", object.api_version))
            .collect();
        assert_eq!(
            names,
            [
                "apps/v1 Deployment shop/web",
                "rbac.authorization.k8s.io/v1 ClusterRole web:admin",
                "v1 ConfigMap shop/settings",
            ]
        );
    }
}
