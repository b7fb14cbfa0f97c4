//! Patches that turn the released objects of a chart into those that a target wants.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_types::Namespace;
use serde_json::{Map, Value, json};

/// `spec.patches` of a Kustomization: one for each object that differs.
///
/// The namespace is patched like every other field, because Kustomize would also give one to objects of kinds that it
/// does not know, and would rename Namespaces.
///
/// # Errors
/// The objects that were not released: Kustomize changes and deletes objects, and adds none.
pub(super) fn patches(
    released: &[Value],
    wanted: &[KubeObject],
    namespace: &Namespace,
) -> Result<Vec<Value>, Vec<ObjectRef>> {
    let mut by_identity = BTreeMap::new();
    for object in released {
        by_identity.insert(identity(object, namespace), (object, None));
    }
    let mut added = Vec::new();
    for object in wanted {
        match by_identity.get_mut(&identity(object.body(), namespace)) {
            Some((_, wanted)) => *wanted = Some(object.body()),
            None => added.push(object.reference().clone()),
        }
    }
    if !added.is_empty() {
        return Err(added);
    }
    let mut patches = Vec::new();
    for (object, wanted) in by_identity.into_values() {
        let patch = match wanted {
            Some(wanted) => {
                let mut steps = Vec::new();
                differ(object, wanted, "", &mut steps);
                if steps.is_empty() {
                    continue;
                }
                Value::Array(steps)
            }
            None => json!({
                "$patch": "delete", "apiVersion": object["apiVersion"], "kind": object["kind"],
                "metadata": { "name": object["metadata"]["name"] },
            }),
        };
        patches.push(json!({ "target": target(object), "patch": patch.to_string() }));
    }
    Ok(patches)
}

/// What tells an object from the others. An object without a namespace is in that of the target, or in none.
fn identity<'a>(object: &'a Value, namespace: &Namespace) -> [&'a str; 4] {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let own = text(&object["metadata"]["namespace"]);
    [
        text(&object["apiVersion"]),
        text(&object["kind"]),
        if own == namespace.as_str() { "" } else { own },
        text(&object["metadata"]["name"]),
    ]
}

/// The selector of one object. Its names are regular expressions that must match completely.
fn target(object: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let exactly = |value: &Value| text(value).replace('.', "\\.");
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let mut target = json!({
        "version": version, "kind": object["kind"], "name": exactly(&object["metadata"]["name"]),
    });
    if !group.is_empty() {
        target["group"] = group.into();
    }
    if object["metadata"]["namespace"].is_string() {
        target["namespace"] = exactly(&object["metadata"]["namespace"]).into();
    }
    target
}

/// Adds the steps of a JSON patch (RFC 6902) from one value to the other.
fn differ(from: &Value, to: &Value, path: &str, steps: &mut Vec<Value>) {
    let at = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (from, to) {
        _ if from == to => {}
        (Value::Object(from), Value::Object(to)) => {
            for key in sorted_keys(from).filter(|key| !to.contains_key(*key)) {
                steps.push(json!({ "op": "remove", "path": at(key) }));
            }
            for key in sorted_keys(to) {
                match from.get(key) {
                    Some(from) => differ(from, &to[key], &at(key), steps),
                    None => steps.push(json!({ "op": "add", "path": at(key), "value": to[key] })),
                }
            }
        }
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                differ(from, to, &at(&index.to_string()), steps);
            }
        }
        _ => steps.push(json!({ "op": "replace", "path": path, "value": to })),
    }
}

/// Whether a map keeps its order depends on features that other crates enable.
fn sorted_keys(map: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(bodies: &[Value]) -> Vec<KubeObject> {
        let objects = bodies.iter().cloned().map(KubeObject::from_value);
        objects.collect::<Result<_, _>>().unwrap()
    }

    fn between(released: &[Value], bodies: &[Value]) -> Result<Vec<Value>, Vec<ObjectRef>> {
        patches(released, &wanted(bodies), &"shop".parse().unwrap())
    }

    fn steps(patch: &Value) -> Value {
        serde_json::from_str(patch["patch"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn only_what_differs_is_patched() {
        let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "web" }, "rules": [] });
        let web = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web.1" },
            "spec": { "replicas": 1, "paused": true, "env": [{ "name": "a", "value": "1" }], "args": ["x"] } });
        let mut changed = web.clone();
        changed["metadata"]["namespace"] = json!("shop");
        changed["metadata"]["annotations"] = json!({ "a/b": "c" });
        changed["spec"] =
            json!({ "replicas": 2, "env": [{ "name": "a", "value": "2" }], "args": [] });
        let patches = between(&[role.clone(), web], &[role, changed]).unwrap();
        let [patch] = patches.as_slice() else {
            panic!("{patches:#?}")
        };
        let target =
            json!({ "group": "apps", "version": "v1", "kind": "Deployment", "name": "web\\.1" });
        assert_eq!(patch["target"], target);
        assert_eq!(
            steps(patch),
            json!([
                { "op": "add", "path": "/metadata/annotations", "value": { "a/b": "c" } },
                { "op": "add", "path": "/metadata/namespace", "value": "shop" },
                { "op": "remove", "path": "/spec/paused" },
                { "op": "replace", "path": "/spec/args", "value": [] },
                { "op": "replace", "path": "/spec/env/0/value", "value": "2" },
                { "op": "replace", "path": "/spec/replicas", "value": 2 },
            ])
        );
    }

    #[test]
    fn what_a_target_does_not_want_is_deleted_and_what_it_adds_is_refused() {
        let map = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
        let mut elsewhere = map("b");
        elsewhere["metadata"]["namespace"] = json!("other");
        let patches = between(&[map("a"), elsewhere.clone()], &[elsewhere]).unwrap();
        let [patch] = patches.as_slice() else {
            panic!("{patches:#?}")
        };
        assert_eq!(steps(patch)["$patch"], "delete");
        assert_eq!(patch["target"]["name"], "a");
        let added = between(&[map("a")], &[map("a"), map("b")]).unwrap_err();
        assert_eq!(added[0].to_string(), "ConfigMap b");
    }

    #[test]
    fn keys_are_escaped_and_both_ways_of_naming_the_namespace_are_the_same_object() {
        let map = |namespace: Option<&str>, value: &str| {
            let mut map = json!({ "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "a", "annotations": { "x/y~z": value } } });
            if let Some(namespace) = namespace {
                map["metadata"]["namespace"] = namespace.into();
            }
            map
        };
        let patches = between(&[map(Some("shop"), "1")], &[map(Some("shop"), "2")]).unwrap();
        assert_eq!(patches[0]["target"]["namespace"], "shop");
        assert_eq!(
            steps(&patches[0])[0]["path"],
            "/metadata/annotations/x~1y~0z"
        );
        let moved = between(&[map(None, "1")], &[map(Some("shop"), "1")]).unwrap();
        assert_eq!(steps(&moved[0])[0]["path"], "/metadata/namespace");
    }
}
