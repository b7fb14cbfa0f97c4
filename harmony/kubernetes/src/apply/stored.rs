//! Compares the wanted object with what the server would store.

use harmony_core::capability::kubernetes_cluster::FieldFault;
use serde_json::Value;

use crate::field_path::{child, entry};

/// Fields that the server sets itself.
const SERVER_OWNED: [&str; 11] = [
    "apiVersion",
    "kind",
    "status",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.generateName",
    "metadata.selfLink",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.managedFields",
];

/// The differences between the stored and the wanted object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deviation {
    /// Wanted fields that would not be stored.
    pub(super) dropped: Vec<FieldFault>,
    /// The paths of fields that would be stored with another value.
    pub(super) changed: Vec<String>,
}

/// Compares each wanted field with the stored one. Fields that only the stored object has are defaults or belong to
/// others, and are ignored. An empty value equals a missing field; two notations of the same quantity are equal.
pub(super) fn deviation(wanted: &Value, stored: &Value) -> Deviation {
    let mut found = Deviation::default();
    compare("", wanted, stored, &mut found);
    found
}

fn compare(path: &str, wanted: &Value, stored: &Value, found: &mut Deviation) {
    if SERVER_OWNED.contains(&path) {
        return;
    }
    match (wanted, stored) {
        (Value::Object(wanted), Value::Object(stored)) => {
            for (key, value) in wanted {
                let path = child(path, key);
                match stored.get(key) {
                    Some(stored) => compare(&path, value, stored, found),
                    None if is_empty(value) || SERVER_OWNED.contains(&path.as_str()) => {}
                    None => found.dropped.push(FieldFault {
                        path,
                        problem: "would not be stored".into(),
                        fix: "check the spelling and the API version: `kubectl explain` lists the fields of a kind".into(),
                    }),
                }
            }
        }
        (Value::Array(wanted), Value::Array(stored)) => {
            for (index, item) in wanted.iter().enumerate() {
                if let Some(stored) = counterpart(item, index, wanted.len(), stored) {
                    compare(&entry(path, index, item), item, stored, found);
                } else if !is_empty(item) {
                    found.changed.push(path.to_owned());
                }
            }
        }
        (wanted, stored) if is_same(wanted, stored) => {}
        _ => found.changed.push(path.to_owned()),
    }
}

/// The stored entry that corresponds to a wanted one, by key if it has one, else by index.
fn counterpart<'a>(
    item: &Value,
    index: usize,
    wanted: usize,
    stored: &'a [Value],
) -> Option<&'a Value> {
    const KEYS: [&str; 9] = [
        "name",
        "containerPort",
        "port",
        "key",
        "mountPath",
        "devicePath",
        "ip",
        "topologyKey",
        "uid",
    ];
    let key = KEYS
        .iter()
        .find(|key| item.get(**key).is_some_and(|value| !value.is_object()));
    if let Some(key) = key {
        // TCP and UDP may use the same port number.
        let same = |other: &&Value| {
            other.get(*key) == item.get(*key)
                && item
                    .get("protocol")
                    .is_none_or(|protocol| other.get("protocol") == Some(protocol))
        };
        return stored.iter().find(same);
    }
    if stored.len() == wanted {
        return stored.get(index);
    }
    stored.iter().find(|other| is_same(item, other))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Equal, or two notations of the same value.
fn is_same(wanted: &Value, stored: &Value) -> bool {
    if wanted == stored || is_empty(wanted) && is_empty(stored) {
        return true;
    }
    match (wanted, stored) {
        (Value::String(a), Value::String(b)) => {
            a.eq_ignore_ascii_case(b)
                || quantity(a).zip(quantity(b)).is_some_and(is_close)
                || a.replace(['\n', '\r'], "") == *b
                || is_same_time(a, b)
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Number(a), Value::String(b)) => a.as_f64().zip(quantity(b)).is_some_and(is_close),
        _ => false,
    }
}

fn is_close((a, b): (f64, f64)) -> bool {
    (a - b).abs() <= a.abs().max(b.abs()) * 1e-9
}

fn is_same_time(a: &str, b: &str) -> bool {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    time(a).is_some_and(|a| time(b) == Some(a))
}

/// `100m`, `1.5Gi`, `2e3` as numbers.
fn quantity(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(digits.len());
    let number: f64 = digits[..end].parse().ok()?;
    let factor = match &digits[end..] {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    Some(sign * number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(wanted: &Value, stored: &Value) -> (Vec<String>, Vec<String>) {
        let Deviation { dropped, changed } = deviation(wanted, stored);
        (
            dropped.into_iter().map(|field| field.path).collect(),
            changed,
        )
    }

    #[test]
    fn what_the_server_does_not_store_is_told_by_its_path() {
        let wanted = json!({
            "spec": { "storage": 1, "dataSource": { "name": "x" }, "off": false, "none": {}, "null": null,
                      "containers": [{ "name": "web", "imagee": "x", "ports": [{ "containerPort": 80 }] }] },
        });
        let stored = json!({
            "spec": { "storage": 1, "volumeMode": "Filesystem",
                      "containers": [{ "name": "side" }, { "name": "web", "ports": [{ "containerPort": 80, "protocol": "TCP" }] }] },
        });
        let (dropped, changed) = found(&wanted, &stored);
        assert_eq!(dropped, ["spec.containers[web].imagee", "spec.dataSource"]);
        assert_eq!(changed, [""; 0]);
    }

    #[test]
    fn two_ways_to_write_a_value_are_one() {
        for (wanted, stored) in [
            (json!("1000m"), json!("1")),
            (json!(1), json!("1")),
            (json!("0.5"), json!("500m")),
            (json!("1024Mi"), json!("1Gi")),
            (json!("YWFh\nYWFh"), json!("YWFhYWFh")),
            (
                json!("2026-01-01T01:00:00+01:00"),
                json!("2026-01-01T00:00:00Z"),
            ),
            (json!(1.0), json!(1)),
            (json!([]), json!(null)),
        ] {
            let (dropped, changed) = found(&json!({ "a": wanted }), &json!({ "a": stored }));
            assert!(
                dropped.is_empty() && changed.is_empty(),
                "{wanted} {stored}"
            );
        }
    }

    #[test]
    fn another_value_is_told() {
        let wanted = json!({ "data": { "a": "x" }, "args": ["-v"], "policy": "Never" });
        let stored = json!({ "data": { "a": "" }, "args": ["-q"], "policy": "Always" });
        assert_eq!(found(&wanted, &stored).1, ["args[0]", "data.a", "policy"]);
    }
}
