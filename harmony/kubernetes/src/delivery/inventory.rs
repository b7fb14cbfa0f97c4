//! The inventory of a delivery, kept in the target namespace, to prune objects that a new version does not have.

use std::collections::BTreeSet;
use std::fmt;

use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectQuery, ObjectRef};
use harmony_types::{Digest, LabelValue, Namespace, ObjectName, ResourceName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::marks::{DELIVERY_LABEL, INVENTORY_PREFIX};

/// The Kubernetes label that names the tool that manages an object.
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The name of a chart or a release, as a label and as part of an object's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeliveryName {
    label: LabelValue,
    config_map: ObjectName,
}

/// The objects of a delivery, as stored in the ConfigMap `harmony-delivery-<name>` of the target namespace.
///
/// Invariant: an object is listed before it is created and until it is gone. So a delivery that is killed at any point
/// leaves nothing behind that the next one does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inventory {
    pub(super) version: String,
    /// The digest of the chart's archive.
    pub(super) digest: String,
    pub(super) state: State,
    objects: BTreeSet<Entry>,
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// In progress; the list contains the objects of the old and the new version.
    Applying,
    /// Done; the list contains the objects of this version.
    Applied,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    api_version: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Namespace>,
    name: ObjectName,
}

impl DeliveryName {
    /// `None` for a name that is not valid: longer than a label value, or with a `_`, which object names cannot
    /// contain.
    pub(super) fn of(name: &str) -> Option<Self> {
        if name.contains('_') {
            return None;
        }
        Some(Self {
            label: LabelValue::parse(name).ok()?,
            config_map: ResourceName::parse(format!("{INVENTORY_PREFIX}{name}"))
                .ok()?
                .into(),
        })
    }

    /// The object with the labels of the delivery.
    pub(super) fn label(&self, object: KubeObject) -> Result<KubeObject, ObjectError> {
        let mut body = object.into_body();
        let labels = &mut body["metadata"]["labels"];
        if !labels.is_object() {
            *labels = json!({});
        }
        labels[DELIVERY_LABEL] = self.label.as_str().into();
        labels[MANAGED_BY_LABEL] = "harmony".into();
        KubeObject::from_value(body)
    }

    /// Whether the object has our label.
    pub(super) fn has_labelled(&self, object: &KubeObject) -> bool {
        object.body()["metadata"]["labels"][DELIVERY_LABEL] == self.label.as_str()
    }

    /// The label selector for all objects of the delivery, for `kubectl get --selector`.
    pub(super) fn selector(&self) -> String {
        format!("{DELIVERY_LABEL}={}", self.label.as_str())
    }

    /// Selects the inventories of all deliveries of the chart (and other ConfigMaps with the label).
    pub(super) fn query(&self) -> ObjectQuery {
        let label = (DELIVERY_LABEL.to_owned(), self.label.to_string());
        ObjectQuery {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: None,
            labels: [label].into(),
        }
    }

    /// The reference to the inventory.
    pub(super) fn config_map(&self, namespace: &Namespace) -> ObjectRef {
        ObjectRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some(namespace.clone()),
            name: self.config_map.clone(),
        }
    }
}

impl Inventory {
    /// The inventory of a completed version.
    pub(super) fn applied(
        version: &dyn fmt::Display,
        digest: &Digest,
        objects: &[KubeObject],
    ) -> Self {
        Self {
            version: version.to_string(),
            digest: digest.to_string(),
            state: State::Applied,
            objects: objects
                .iter()
                .map(|object| Entry::of(object.reference()))
                .collect(),
        }
    }

    /// The inventory while this version is being applied over `before`.
    pub(super) fn applying_over(&self, before: Option<&Self>) -> Self {
        let mut during = self.clone();
        during.state = State::Applying;
        during.objects.extend(
            before
                .iter()
                .flat_map(|before| before.objects.iter().cloned()),
        );
        during
    }

    /// The objects that only this inventory lists. Objects that differ only in their API version are the same.
    pub(super) fn without(&self, other: &Self) -> Vec<ObjectRef> {
        let kept: BTreeSet<_> = other.objects.iter().map(Entry::identity).collect();
        let gone = self
            .objects
            .iter()
            .filter(|entry| !kept.contains(&entry.identity()));
        gone.map(Entry::reference).collect()
    }

    /// Parses what [`Inventory::stored`] wrote; the error says which part is invalid.
    pub(super) fn read(stored: &KubeObject) -> Result<Self, String> {
        let data = &stored.body()["data"];
        let text = |key: &str| {
            let text = data[key].as_str().map(str::to_owned);
            text.ok_or_else(|| format!("has no `{key}`"))
        };
        let state = match text("state")?.as_str() {
            "applying" => State::Applying,
            "applied" => State::Applied,
            other => return Err(format!("has the state `{other}`")),
        };
        let objects = serde_json::from_str(&text("objects")?);
        Ok(Self {
            version: text("version")?,
            digest: text("digest")?,
            state,
            objects: objects.map_err(|error| format!("has no list in `objects`: {error}"))?,
        })
    }

    /// The ConfigMap that stores it.
    pub(super) fn stored(
        &self,
        name: &DeliveryName,
        namespace: &Namespace,
    ) -> Result<KubeObject, ObjectError> {
        let reference = name.config_map(namespace);
        let state = match self.state {
            State::Applying => "applying",
            State::Applied => "applied",
        };
        let objects = serde_json::to_string(&self.objects)
            .map_err(|source| ObjectError::NotJson { source })?;
        let object = KubeObject::from_value(json!({
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            "metadata": { "name": reference.name.as_str(), "namespace": namespace.as_str() },
            "data": {
                "version": self.version,
                "digest": self.digest,
                "state": state,
                "objects": objects,
            },
        }))?;
        name.label(object)
    }
}

impl Entry {
    fn of(reference: &ObjectRef) -> Self {
        Self {
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
        }
    }

    fn identity(&self) -> (&str, &str, Option<&Namespace>, &ObjectName) {
        let group = self
            .api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group);
        (group, &self.kind, self.namespace.as_ref(), &self.name)
    }

    fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// Why an object that no version lists any more is kept; `None` if it may be deleted.
pub(super) fn reason_to_keep(name: &DeliveryName, object: &KubeObject) -> Option<&'static str> {
    if !name.has_labelled(object) {
        return Some("no longer in the chart; kept, because it does not carry the chart's label");
    }
    worth_keeping(object)
}

/// Why an object is kept whoever created it: its annotation says so, or its data would be lost.
pub(super) fn worth_keeping(object: &KubeObject) -> Option<&'static str> {
    let policy = object
        .body()
        .pointer("/metadata/annotations/helm.sh~1resource-policy");
    if policy == Some(&Value::from("keep")) {
        return Some(
            "no longer in the chart; kept, because its annotation `helm.sh/resource-policy` says so",
        );
    }
    match object.reference().kind.as_str() {
        "CustomResourceDefinition" | "Namespace" | "PersistentVolumeClaim" => {
            Some("no longer in the chart; kept, because its data would be lost")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str, name: &str) -> KubeObject {
        KubeObject::new(&json!({
            "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": "web" },
        }))
        .unwrap()
    }

    fn inventory(version: &str, objects: &[KubeObject]) -> Inventory {
        Inventory::applied(&version, &Digest::sha256_from_bytes([7; 32]), objects)
    }

    fn name() -> DeliveryName {
        DeliveryName::of("site").unwrap()
    }

    #[test]
    fn what_is_stored_comes_back() {
        let inventory = inventory(
            "1.0.0",
            &[
                object("v1", "Service", "b"),
                object("apps/v1", "Deployment", "a"),
            ],
        );
        for inventory in [inventory.applying_over(None), inventory] {
            let stored = inventory.stored(&name(), &"web".parse().unwrap()).unwrap();
            assert_eq!(
                stored.reference().to_string(),
                "ConfigMap web/harmony-delivery-site"
            );
            assert_eq!(stored.body()["metadata"]["labels"][DELIVERY_LABEL], "site");
            assert_eq!(Inventory::read(&stored).unwrap(), inventory);
        }
    }

    #[test]
    fn a_list_that_somebody_edited_is_not_taken_for_an_empty_one() {
        let stored = inventory("1.0.0", &[])
            .stored(&name(), &"web".parse().unwrap())
            .unwrap();
        for (key, value) in [
            ("objects", json!("[")),
            ("objects", json!(null)),
            ("state", json!("x")),
            ("version", json!(1)),
        ] {
            let mut body = stored.body().clone();
            body["data"][key] = value;
            let problem = Inventory::read(&KubeObject::from_value(body).unwrap()).unwrap_err();
            assert!(problem.contains(key), "{problem}");
        }
    }

    #[test]
    fn what_is_gone_is_told_and_a_new_api_version_is_not_gone() {
        let old = inventory(
            "1.0.0",
            &[
                object("v1", "Service", "a"),
                object("v1", "Service", "b"),
                object("batch/v1beta1", "CronJob", "c"),
            ],
        );
        let new = inventory(
            "2.0.0",
            &[
                object("v1", "Service", "a"),
                object("batch/v1", "CronJob", "c"),
            ],
        );
        let gone: Vec<_> = old.without(&new).iter().map(ToString::to_string).collect();
        assert_eq!(gone, ["Service web/b"]);
        let during = new.applying_over(Some(&old));
        assert_eq!(
            (during.objects.len(), during.version.as_str()),
            (4, "2.0.0")
        );
    }

    #[test]
    fn a_chart_name_that_fits_no_label_is_refused() {
        for (name, fits) in [
            ("web", true),
            ("my.web-1", true),
            ("my_web", false),
            (&*"a".repeat(63), true),
            (&*"a".repeat(64), false),
        ] {
            assert_eq!(DeliveryName::of(name).is_some(), fits, "{name}");
        }
    }

    #[test]
    fn what_holds_data_or_is_not_ours_is_kept() {
        let ours = |kind| name().label(object("v1", kind, "a")).unwrap();
        assert_eq!(reason_to_keep(&name(), &ours("Service")), None);
        assert!(reason_to_keep(&name(), &ours("PersistentVolumeClaim")).is_some());
        assert!(reason_to_keep(&name(), &object("v1", "Service", "a")).is_some());
        let mut body = ours("Service").into_body();
        body["metadata"]["annotations"] = json!({ "helm.sh/resource-policy": "keep" });
        assert!(reason_to_keep(&name(), &KubeObject::from_value(body).unwrap()).is_some());
    }
}
