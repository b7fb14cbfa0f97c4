//! Decides from one read whether an object already is as wanted.

use serde_json::{Map, Value};

/// True if a server-side apply of `wanted` by `manager` would change nothing: every wanted field has its value and is
/// ours, and we own nothing else.
///
/// Never true if the apply would change something. May be false although nothing would change, if the server writes a
/// value differently (`1000m` as `1`); the apply then finds out.
pub(crate) fn is_as_applied(live: &Value, wanted: &Value, manager: &str) -> bool {
    let owned = live
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|entry| {
            entry["manager"] == manager
                && entry["operation"] == "Apply"
                && entry.get("subresource").is_none_or(|name| name == "")
        })
        .map(|entry| &entry["fieldsV1"]);
    let wanted = without_identity(wanted);
    match owned {
        Some(owned) => matches(owned, &wanted, live),
        None => wanted.as_object().is_some_and(Map::is_empty),
    }
}

/// The fields that identify an object have no owner.
fn without_identity(wanted: &Value) -> Value {
    let mut wanted = wanted.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
        let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(metadata) = metadata {
            metadata.remove("name");
            metadata.remove("namespace");
            if metadata.is_empty() {
                fields.remove("metadata");
            }
        }
    }
    wanted
}

/// Compares a `fieldsV1` set (keys `f:<field>`, `k:<keys of an entry>`, `v:<value of an entry>`, `.` for the item
/// itself) with the wanted and the live object, without knowing the schema. A value that the server treats as atomic
/// has no children in the set, and must be equal as a whole.
fn matches(owned: &Value, wanted: &Value, live: &Value) -> bool {
    let Some(owned) = owned.as_object() else {
        return false;
    };
    if owned.is_empty() {
        return is_same(wanted, live);
    }
    let children = owned.iter().filter(|(key, _)| *key != ".");
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            let wanted: Vec<_> = wanted
                .iter()
                .filter(|(_, value)| !value.is_null())
                .collect();
            children.count() == wanted.len()
                && wanted.iter().all(|(key, value)| {
                    let owned = owned.get(&format!("f:{key}"));
                    let live = live.get(*key);
                    owned
                        .zip(live)
                        .is_some_and(|(owned, live)| matches(owned, value, live))
                })
        }
        (Value::Array(wanted), Value::Array(live)) => {
            let mut count = 0;
            for (key, owned) in children {
                count += 1;
                let is_matched = match key.split_once(':') {
                    Some(("k", keys)) => serde_json::from_str(keys)
                        .is_ok_and(|keys| matches_entry(owned, &keys, wanted, live)),
                    Some(("v", value)) => serde_json::from_str(value)
                        .is_ok_and(|value| wanted.contains(&value) && live.contains(&value)),
                    _ => false,
                };
                if !is_matched {
                    return false;
                }
            }
            count == wanted.len() && has_order_of(owned, wanted, live)
        }
        _ => false,
    }
}

/// Whether the wanted entries appear in `live` in the wanted order. Entries of other managers may be in between; a set
/// of values has no order.
fn has_order_of(owned: &Map<String, Value>, wanted: &[Value], live: &[Value]) -> bool {
    let keys: Vec<Map<String, Value>> = owned
        .keys()
        .filter_map(|key| serde_json::from_str(key.strip_prefix("k:")?).ok())
        .collect();
    let key_of = |item: &Value| {
        keys.iter().position(|keys| {
            keys.iter()
                .all(|(key, value)| item.get(key).is_none_or(|own| own == value))
        })
    };
    let wanted = wanted.iter().filter_map(key_of);
    let live = live.iter().filter_map(key_of);
    wanted.eq(live)
}

/// The server fills in a key that an entry leaves at its default (`protocol: TCP`).
fn matches_entry(
    owned: &Value,
    keys: &Map<String, Value>,
    wanted: &[Value],
    live: &[Value],
) -> bool {
    let has_keys = |item: &&Value| {
        keys.iter()
            .all(|(key, value)| item.get(key).is_none_or(|own| own == value))
    };
    let wanted = wanted.iter().find(has_keys);
    let live = live.iter().find(has_keys);
    wanted
        .zip(live)
        .is_some_and(|(wanted, live)| matches(owned, wanted, live))
}

fn is_same(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Number(wanted), Value::Number(live)) => {
            wanted == live || wanted.as_f64() == live.as_f64()
        }
        _ => wanted == live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "a", "labels": { "app": "web" } },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": "web" } },
                "template": { "spec": { "containers": [{
                    "name": "web", "image": "web:1", "args": ["-v"],
                    "ports": [{ "containerPort": 80 }], "emptyThing": {},
                }]}},
            },
        })
    }

    fn live() -> Value {
        let mut live = wanted();
        live["metadata"]["managedFields"] = json!([
            { "manager": "other", "operation": "Apply", "fieldsV1": { "f:spec": { "f:paused": {} } } },
            { "manager": "harmony", "operation": "Apply", "subresource": "status", "fieldsV1": {} },
            { "manager": "harmony", "operation": "Apply", "fieldsV1": {
                "f:metadata": { "f:labels": { "f:app": {} } },
                "f:spec": {
                    "f:replicas": {},
                    "f:selector": {},
                    "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"web\"}": {
                        ".": {}, "f:name": {}, "f:image": {}, "f:args": {}, "f:emptyThing": {},
                        "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } },
                    }}}},
                },
            }},
        ]);
        live["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = json!("TCP");
        live["spec"]["revisionHistoryLimit"] = json!(10);
        live
    }

    #[test]
    fn what_was_applied_is_recognised() {
        assert!(is_as_applied(&live(), &wanted(), "harmony"));
    }

    #[test]
    fn another_value_or_a_field_more_or_less_is_not() {
        let changed = |pointer: &str, value: Value| {
            let mut wanted = wanted();
            *wanted.pointer_mut(pointer).unwrap() = value;
            wanted
        };
        let mut fewer = wanted();
        fewer["spec"].as_object_mut().unwrap().remove("replicas");
        let mut more = wanted();
        more["spec"]["revisionHistoryLimit"] = json!(10);
        let container = "/spec/template/spec/containers/0";
        let cases = [
            changed("/spec/replicas", json!(2)),
            changed(&format!("{container}/image"), json!("web:2")),
            changed(&format!("{container}/args"), json!(["-v", "-x"])),
            changed(&format!("{container}/args"), json!([])),
            changed("/spec/selector/matchLabels", json!({})),
            changed("/metadata/labels", json!({})),
            changed(
                &format!("{container}/ports"),
                json!([{ "containerPort": 80 }, { "containerPort": 81 }]),
            ),
            changed("/spec/template/spec/containers", json!([])),
            fewer,
            more,
        ];
        for wanted in cases {
            assert!(!is_as_applied(&live(), &wanted, "harmony"), "{wanted}");
        }
        assert!(!is_as_applied(&live(), &wanted(), "somebody"));
    }

    #[test]
    fn the_order_of_entries_is_compared() {
        let mut wanted = wanted();
        let mut live = live();
        let containers = "/spec/template/spec/containers";
        let second = json!({ "name": "side" });
        let push = |value: &mut Value, index: usize, item: &Value| {
            let items = value
                .pointer_mut(containers)
                .unwrap()
                .as_array_mut()
                .unwrap();
            items.insert(index, item.clone());
        };
        push(&mut wanted, 1, &second);
        push(&mut live, 1, &second);
        live["metadata"]["managedFields"][2]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
            ["k:{\"name\":\"side\"}"] = json!({ ".": {}, "f:name": {} });
        assert!(is_as_applied(&live, &wanted, "harmony"));
        let mut with_others = live.clone();
        push(&mut with_others, 1, &json!({ "name": "injected" }));
        assert!(is_as_applied(&with_others, &wanted, "harmony"));
        let items = live.pointer_mut(containers).unwrap();
        items.as_array_mut().unwrap().reverse();
        assert!(!is_as_applied(&live, &wanted, "harmony"));
    }

    #[test]
    fn drift_by_another_manager_is_seen() {
        let mut live = live();
        live["spec"]["replicas"] = json!(5);
        assert!(!is_as_applied(&live, &wanted(), "harmony"));
        let mut live = super::tests::live();
        live["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["-v", "-v"]);
        assert!(!is_as_applied(&live, &wanted(), "harmony"));
    }

    #[test]
    fn an_object_with_a_name_only_needs_no_apply() {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } });
        assert!(is_as_applied(&namespace, &namespace, "harmony"));
    }
}
