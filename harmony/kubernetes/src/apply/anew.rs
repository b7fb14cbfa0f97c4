//! Jobs cannot change. One whose annotations say so is deleted and created again when it would.

use harmony_core::capability::kubernetes_cluster::FieldFault;
use harmony_core::kubernetes::KubeObject;

use crate::schema::is_fixed;

/// The annotation that asks for it; `None` when the object is to stay as it is.
pub(super) fn asked_by(object: &KubeObject) -> Option<&'static str> {
    let reference = object.reference();
    if !reference.api_version.starts_with("batch/") || reference.kind != "Job" {
        return None;
    }
    let annotations = &object.body()["metadata"]["annotations"];
    let asks = |(key, words): &(&'static str, &[&str])| {
        let value = annotations[*key].as_str().unwrap_or_default();
        let mut options = value.split(',').map(|option| option.trim().to_lowercase());
        options.any(|option| words.contains(&option.as_str()))
    };
    ANNOTATIONS
        .iter()
        .find(|entry| asks(entry))
        .map(|(key, _)| *key)
}

/// As other deployers spell it.
const ANNOTATIONS: [(&str, &[&str]); 4] = [
    (
        "argocd.argoproj.io/sync-options",
        &["replace=true", "force=true"],
    ),
    ("kustomize.toolkit.fluxcd.io/force", &["enabled", "true"]),
    (
        "kapp.k14s.io/update-strategy",
        &["fallback-on-replace", "always-replace"],
    ),
    ("helm.sh/hook-delete-policy", &["before-hook-creation"]),
];

/// Whether nothing is wrong with the object but that it is there already.
pub(super) fn is_only_fixed(faults: &[FieldFault]) -> bool {
    !faults.is_empty() && faults.iter().all(is_fixed)
}

/// A name that nothing has, to try an object as if it were not there.
pub(crate) fn stand_in(name: &str) -> String {
    const SUFFIX: &str = "-harmony-trial";
    let kept: String = name.chars().take(63 - SUFFIX.len()).collect();
    format!("{kept}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: &str, annotations: Value) -> KubeObject {
        let api_version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        KubeObject::from_value(json!({ "apiVersion": api_version, "kind": kind,
            "metadata": { "name": "migrate", "namespace": "shop", "annotations": annotations } }))
        .unwrap()
    }

    #[test]
    fn only_a_job_whose_annotation_says_so_is_made_anew() {
        let argo =
            json!({ "argocd.argoproj.io/sync-options": "Prune=false, Force=true,Replace=true" });
        assert_eq!(
            asked_by(&object("Job", argo.clone())),
            Some("argocd.argoproj.io/sync-options")
        );
        assert_eq!(asked_by(&object("StatefulSet", argo)), None);
        for annotations in [
            json!({ "kustomize.toolkit.fluxcd.io/force": "Enabled" }),
            json!({ "kapp.k14s.io/update-strategy": "fallback-on-replace" }),
            json!({ "helm.sh/hook-delete-policy": "hook-succeeded,before-hook-creation" }),
        ] {
            assert!(
                asked_by(&object("Job", annotations.clone())).is_some(),
                "{annotations}"
            );
        }
        for annotations in [
            Value::Null,
            json!({ "argocd.argoproj.io/sync-options": "Prune=false" }),
            json!({ "helm.sh/hook-delete-policy": "hook-succeeded" }),
        ] {
            assert_eq!(
                asked_by(&object("Job", annotations.clone())),
                None,
                "{annotations}"
            );
        }
    }

    #[test]
    fn a_stand_in_has_a_name_of_its_own_that_fits() {
        for name in ["migrate".to_owned(), "m".repeat(63)] {
            let other = stand_in(&name);
            assert!(other != name && other.len() <= 63, "{other}");
        }
    }
}
