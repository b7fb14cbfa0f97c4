//! Finds out who owns an object, from what the cluster recorded.

use harmony_core::owner::{Owner, OwnerKind};
use serde_json::Value;

use crate::marks::{DELIVERY_LABEL, argocd, flux};

/// The field manager of everything that earlier versions of Harmony applied, for any owner.
pub(crate) const LEGACY_MANAGER: &str = "harmony";

/// The relation of an object in the cluster to somebody who wants to apply it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Applied only by this owner, or by nobody relevant.
    Ours,
    /// Applied by an earlier version of Harmony, for this owner as far as can be known.
    Legacy,
    /// Applied by Argo CD, for the Application of this delivery.
    ByArgo,
    /// Applied by Flux, for the HelmRelease of this delivery.
    ByHelm,
    /// Applied by Flux, for the Kustomization of this delivery.
    ByKustomize,
    /// It also, or only, belongs to others: `chart:web@shop`.
    Others(Vec<String>),
}

impl Standing {
    /// The field manager that applied the object for this owner before, if it was not the owner itself.
    pub(crate) fn predecessor(&self) -> Option<&'static str> {
        match self {
            Self::Legacy => Some(LEGACY_MANAGER),
            Self::ByArgo => Some(argocd::MANAGER),
            Self::ByHelm => Some(flux::HELM_MANAGER),
            Self::ByKustomize => Some(flux::KUSTOMIZE_MANAGER),
            Self::Ours | Self::Others(_) => None,
        }
    }
}

/// Who applied the object, for somebody who wants to.
///
/// Namespaces belong to nobody: each owner has the fields that it sets. A controller takes what it is told to, and a
/// successor takes over what another controller applied.
pub(crate) fn standing(live: &Value, owner: &Owner) -> Standing {
    if live["kind"] == "Namespace" || owner.kind() == OwnerKind::Controller {
        return Standing::Ours;
    }
    if owner.kind() == OwnerKind::Successor {
        let marks = [
            (application(live).is_some(), Standing::ByArgo),
            (flux::HELM_LABELS.are_on(live), Standing::ByHelm),
            (flux::KUSTOMIZE_LABELS.are_on(live), Standing::ByKustomize),
        ];
        let mut others = marks
            .into_iter()
            .filter_map(|(is_there, by)| is_there.then_some(by));
        let another = others.find(|by| by.predecessor() != Some(owner.name()));
        return another.unwrap_or(Standing::Ours);
    }
    let managers = apply_managers(live);
    let ours = owner.manager();
    let others: Vec<String> = managers
        .iter()
        .filter(|manager| Owner::is_manager(manager) && **manager != ours)
        .map(|manager| shown(manager))
        .collect();
    if !others.is_empty() {
        return Standing::Others(others);
    }
    if owner.kind() == OwnerKind::Delivery {
        let (name, namespace) = (owner.name(), owner.namespace().as_str());
        if flux::HELM_LABELS.are_of(live, name, namespace) {
            return Standing::ByHelm;
        }
        if flux::KUSTOMIZE_LABELS.are_of(live, name, namespace) {
            return Standing::ByKustomize;
        }
        if application(live) == Some(argocd::name(owner.namespace(), owner.name()).as_str()) {
            return Standing::ByArgo;
        }
    }
    let is_ours = managers.contains(&ours.as_str());
    if managers.contains(&LEGACY_MANAGER) {
        let delivery = live
            .pointer("/metadata/labels")
            .and_then(|labels| labels[DELIVERY_LABEL].as_str());
        return match (delivery, owner.kind()) {
            (Some(chart), OwnerKind::Delivery) if chart == owner.name() => Standing::Legacy,
            (Some(chart), _) if !is_ours => Standing::Others(vec![format!("chart:{chart}")]),
            _ => Standing::Legacy,
        };
    }
    if is_ours {
        return Standing::Ours;
    }
    match other_tool(live) {
        Some(tool) => Standing::Others(vec![tool]),
        // An owner that deletes what it created must not silently take over objects of others.
        None if owner.prunes() => match first_manager(live) {
            Some(manager) => Standing::Others(vec![manager.to_owned()]),
            None => Standing::Ours,
        },
        None => Standing::Ours,
    }
}

/// Whether this owner applied the object, alone or together with others.
pub(crate) fn is_applied_by(live: &Value, owner: &Owner) -> bool {
    apply_managers(live).contains(&owner.manager().as_str())
}

/// The managers that own fields by server-side apply, except for subresources.
fn apply_managers(live: &Value) -> Vec<&str> {
    entries(live)
        .filter(|entry| is_apply(entry))
        .filter_map(|entry| entry["manager"].as_str())
        .collect()
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    let fields = live.pointer("/metadata/managedFields");
    fields.and_then(Value::as_array).into_iter().flatten()
}

fn is_apply(entry: &Value) -> bool {
    entry["operation"] == "Apply" && !has_subresource(entry)
}

fn has_subresource(entry: &Value) -> bool {
    entry.get("subresource").is_some_and(|name| name != "")
}

fn first_manager(live: &Value) -> Option<&str> {
    entries(live).find_map(|entry| entry["manager"].as_str())
}

fn shown(manager: &str) -> String {
    manager.trim_start_matches("harmony/").to_owned()
}

/// Marks of tools that manage whole sets of objects.
fn other_tool(live: &Value) -> Option<String> {
    let metadata = |kind: &str, key: &str| live["metadata"][kind][key].as_str();
    let annotation = |key| metadata("annotations", key);
    let label = |key| metadata("labels", key);
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        let namespace = annotation("meta.helm.sh/release-namespace").unwrap_or("default");
        return Some(format!("the Helm release {release} in {namespace}"));
    }
    if let Some(application) = application(live) {
        return Some(format!("the Argo CD application {application}"));
    }
    for (key, what) in [
        ("kustomize.toolkit.fluxcd.io/name", "the Flux Kustomization"),
        ("helm.toolkit.fluxcd.io/name", "the Flux HelmRelease"),
        ("applyset.kubernetes.io/part-of", "the ApplySet"),
    ] {
        if let Some(name) = label(key) {
            return Some(format!("{what} {name}"));
        }
    }
    None
}

/// The Application that Argo CD applied the object for.
fn application(live: &Value) -> Option<&str> {
    live["metadata"]["annotations"][argocd::TRACKING]
        .as_str()
        .map(argocd::of_tracking)
}

/// The list of managers with all entries of another owner, or of the predecessor of this one, merged into that of
/// `manager`, as if `manager` had applied everything. `None` if there is nothing to merge.
pub(super) fn handed_over(live: &Value, manager: &str, predecessor: Option<&str>) -> Option<Value> {
    let is_merged = |entry: &Value| {
        let name = entry["manager"].as_str().unwrap_or_default();
        let is_another = name == LEGACY_MANAGER || Owner::is_manager(name);
        let is_predecessor = Some(name) == predecessor;
        // Flux does not apply on the server: its fields are those of updates.
        let counts = is_apply(entry) || (is_predecessor && !has_subresource(entry));
        counts && name != manager && (is_another || is_predecessor)
    };
    let (merged, mut kept): (Vec<&Value>, Vec<Value>) = {
        let (merged, kept): (Vec<&Value>, Vec<&Value>) =
            entries(live).partition(|entry| is_merged(entry));
        (merged, kept.into_iter().cloned().collect())
    };
    let first = merged.first()?;
    let at = kept
        .iter()
        .position(|entry| is_apply(entry) && entry["manager"] == manager)
        .unwrap_or_else(|| {
            let mut entry = (*first).clone();
            entry["manager"] = manager.into();
            entry["operation"] = "Apply".into();
            kept.push(entry);
            kept.len() - 1
        });
    for entry in merged {
        union(&mut kept[at]["fieldsV1"], &entry["fieldsV1"]);
    }
    Some(Value::Array(kept))
}

/// Field sets are trees of maps.
fn union(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        for (key, value) in from {
            union(
                into.entry(key.clone())
                    .or_insert_with(|| Value::Object(serde_json::Map::new())),
                value,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(managers: &[(&str, &str)]) -> Value {
        let entries: Vec<_> = managers
            .iter()
            .map(|(manager, operation)| {
                json!({ "manager": manager, "operation": operation, "fieldsV1": { "f:data": { format!("f:{manager}"): {} } } })
            })
            .collect();
        json!({ "kind": "ConfigMap", "metadata": { "labels": {}, "managedFields": entries } })
    }

    fn delivery() -> Owner {
        Owner::delivery(&"web".parse().unwrap(), &"shop".parse().unwrap())
    }

    fn others(names: &[&str]) -> Standing {
        Standing::Others(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_another_owner_applied_is_not_ours() {
        let owner = delivery();
        let ours = owner.manager();
        for (managers, expected) in [
            (&[(ours.as_str(), "Apply")][..], Standing::Ours),
            (&[(&ours, "Apply"), ("kubectl", "Update")], Standing::Ours),
            (&[("harmony", "Apply")], Standing::Legacy),
            (&[("harmony", "Apply"), (&ours, "Apply")], Standing::Legacy),
            (
                &[("harmony/chart:api@shop", "Apply")],
                others(&["chart:api@shop"]),
            ),
            (
                &[("harmony/chart:web@other", "Apply"), (&ours, "Apply")],
                others(&["chart:web@other"]),
            ),
            (&[("kubectl-create", "Update")], others(&["kubectl-create"])),
            (&[], Standing::Ours),
        ] {
            assert_eq!(standing(&live(managers), &owner), expected, "{managers:?}");
        }
        let score = Owner::score("web", &"shop".parse().unwrap());
        assert_eq!(
            standing(&live(&[("kubectl-create", "Update")]), &score),
            Standing::Ours
        );
        assert_eq!(
            standing(&live(&[(&ours, "Apply")]), &score),
            others(&["chart:web@shop"])
        );
    }

    #[test]
    fn the_label_says_whose_an_older_object_is() {
        let mut object = live(&[("harmony", "Apply")]);
        object["metadata"]["labels"][DELIVERY_LABEL] = "web".into();
        assert_eq!(standing(&object, &delivery()), Standing::Legacy);
        let score = Owner::score("x", &"shop".parse().unwrap());
        assert_eq!(standing(&object, &score), others(&["chart:web"]));
        object["metadata"]["labels"][DELIVERY_LABEL] = "api".into();
        assert_eq!(standing(&object, &delivery()), others(&["chart:api"]));
        object["kind"] = "Namespace".into();
        assert_eq!(standing(&object, &delivery()), Standing::Ours);
    }

    #[test]
    fn other_tools_are_known_by_their_marks() {
        let score = Owner::score("x", &"shop".parse().unwrap());
        let mut object = live(&[("helm", "Update")]);
        object["metadata"]["annotations"] =
            json!({ "meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "a" });
        assert_eq!(
            standing(&object, &score),
            others(&["the Helm release web in a"])
        );
        object["metadata"]["annotations"] =
            json!({ "argocd.argoproj.io/tracking-id": "site:apps/Deployment:a/b" });
        assert_eq!(
            standing(&object, &score),
            others(&["the Argo CD application site"])
        );
        object["metadata"]["annotations"] = json!({});
        object["metadata"]["labels"] = json!({ "helm.toolkit.fluxcd.io/name": "site" });
        assert_eq!(
            standing(&object, &score),
            others(&["the Flux HelmRelease site"])
        );
    }

    #[test]
    fn handing_over_merges_the_fields() {
        let object = live(&[("harmony", "Apply"), ("kubectl", "Update")]);
        let entries = handed_over(&object, "harmony/chart:web@shop", None).unwrap();
        assert_eq!(entries.as_array().unwrap().len(), 2);
        assert_eq!(entries[1]["manager"], "harmony/chart:web@shop");
        assert_eq!(
            entries[1]["fieldsV1"],
            json!({ "f:data": { "f:harmony": {} } })
        );
        let object = live(&[("harmony/chart:web@shop", "Apply"), ("harmony", "Apply")]);
        let entries = handed_over(&object, "harmony/chart:web@shop", None).unwrap();
        assert_eq!(
            entries,
            json!([{ "manager": "harmony/chart:web@shop", "operation": "Apply", "fieldsV1": {
                "f:data": { "f:harmony": {}, "f:harmony/chart:web@shop": {} },
            }}])
        );
        assert_eq!(
            handed_over(&live(&[("kubectl", "Update")]), "a", None),
            None
        );
    }

    #[test]
    fn what_argo_cd_applied_for_the_same_delivery_can_be_taken_back() {
        let mut object = live(&[("argocd-controller", "Apply")]);
        object["metadata"]["annotations"] =
            json!({ "argocd.argoproj.io/tracking-id": "shop.web:/ConfigMap:shop/a" });
        let found = standing(&object, &delivery());
        assert_eq!(found, Standing::ByArgo);
        let other = Owner::delivery(&"web".parse().unwrap(), &"other".parse().unwrap());
        assert_eq!(
            standing(&object, &other),
            others(&["the Argo CD application shop.web"])
        );
        let manager = delivery().manager();
        let entries = handed_over(&object, &manager, found.predecessor()).unwrap();
        assert_eq!(entries[0]["manager"], manager.as_str());
        assert_eq!(handed_over(&object, &manager, None), None);
    }

    #[test]
    fn a_controller_takes_the_place_of_another_one() {
        let namespace = "shop".parse().unwrap();
        let mut object = live(&[
            ("argocd-controller", "Apply"),
            ("helm-controller", "Update"),
        ]);
        object["metadata"]["annotations"] =
            json!({ "argocd.argoproj.io/tracking-id": "shop.web:/ConfigMap:shop/a" });
        object["metadata"]["labels"] = json!({ "helm.toolkit.fluxcd.io/name": "web" });
        for (manager, expected, kept) in [
            (argocd::MANAGER, Standing::ByHelm, 1),
            (flux::HELM_MANAGER, Standing::ByArgo, 2),
            (flux::KUSTOMIZE_MANAGER, Standing::ByArgo, 2),
            ("another", Standing::ByArgo, 2),
        ] {
            let found = standing(&object, &Owner::successor(manager, &namespace));
            assert_eq!(found, expected, "{manager}");
            let entries = handed_over(&object, manager, found.predecessor());
            let entries = entries.unwrap_or_else(|| object["metadata"]["managedFields"].clone());
            assert_eq!(entries.as_array().unwrap().len(), kept, "{manager}");
        }
        let told = Owner::controller(argocd::MANAGER, &namespace);
        assert_eq!(standing(&object, &told), Standing::Ours);
    }

    #[test]
    fn what_flux_installed_for_the_same_delivery_can_be_taken_back() {
        let mut object = live(&[("helm-controller", "Update"), ("kubectl", "Update")]);
        object["metadata"]["annotations"] =
            json!({ "meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop" });
        object["metadata"]["labels"] = json!({ "helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop" });
        let found = standing(&object, &delivery());
        assert_eq!(found, Standing::ByHelm);
        let manager = delivery().manager();
        let entries = handed_over(&object, &manager, found.predecessor()).unwrap();
        let shown: Vec<_> = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| format!("{} {}", entry["manager"], entry["operation"]))
            .collect();
        assert_eq!(
            shown,
            [
                r#""kubectl" "Update""#.to_owned(),
                format!("\"{manager}\" \"Apply\"")
            ]
        );
    }
}
