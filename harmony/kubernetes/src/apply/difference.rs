//! What changed between two states of an object, as a person reads it.

use harmony_core::outcome::{FieldChange, FieldValue};
use serde_json::Value;

/// What the server writes for itself; it changes with every write or says nothing about what was wanted.
const SERVER_OWNED: [&str; 12] = [
    "status",
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.creationTimestamp",
    "metadata.uid",
    "metadata.selfLink",
    "metadata.deletionTimestamp",
    "metadata.deletionGracePeriodSeconds",
    "metadata.annotations[deployment.kubernetes.io/revision]",
    "metadata.annotations[deprecated.daemonset.template.generation]",
    "metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]",
];

/// The fields in which `after` differs from `before`, in the order of `before`, then of `after`.
///
/// Entries of lists are named by their `name` where they have one (`spec.template.spec.containers[operator].image`),
/// else by position; keys with dots or slashes stand in brackets. Values of a Secret, and of environment variables whose
/// name speaks of a secret, are [`FieldValue::Redacted`].
pub fn difference(before: &Value, after: &Value) -> Vec<FieldChange> {
    let is_secret = [before, after]
        .iter()
        .any(|object| object["kind"] == "Secret");
    let mut found = Vec::new();
    compare(
        &mut Path::default(),
        Some(before),
        Some(after),
        is_secret,
        &mut found,
    );
    found
}

/// Where the comparison is: the text of the path, and whether its values may be shown.
#[derive(Default)]
struct Path {
    text: String,
}

impl Path {
    /// Runs `inner` one step deeper.
    fn within<T>(&mut self, step: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.text.len();
        self.text.push_str(step);
        let result = inner(self);
        self.text.truncate(length);
        result
    }

    fn key(&self, key: &str) -> String {
        if key.contains(['.', '/']) {
            format!("[{key}]")
        } else if self.text.is_empty() {
            key.to_owned()
        } else {
            format!(".{key}")
        }
    }
}

fn compare(
    path: &mut Path,
    before: Option<&Value>,
    after: Option<&Value>,
    is_secret: bool,
    found: &mut Vec<FieldChange>,
) {
    if SERVER_OWNED.contains(&path.text.as_str()) || before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            // An environment variable: its name decides whether its value may be shown.
            let is_secret = is_secret || names_a_secret(before) || names_a_secret(after);
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let step = path.key(key);
                path.within(&step, |path| {
                    compare(path, old.get(key), new.get(key), is_secret, found);
                });
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if are_named(old) && are_named(new) => {
            let added = new.iter().filter(|item| find(old, name(item)).is_none());
            for item in old.iter().chain(added) {
                let name = name(item);
                path.within(&format!("[{name}]"), |path| {
                    compare(path, find(old, name), find(new, name), is_secret, found);
                });
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                path.within(&format!("[{index}]"), |path| {
                    compare(path, old.get(index), new.get(index), is_secret, found);
                });
            }
        }
        _ => found.push(FieldChange {
            path: path.text.clone(),
            before: shown(path, before, is_secret),
            after: shown(path, after, is_secret),
        }),
    }
}

fn shown(path: &Path, value: Option<&Value>, is_secret: bool) -> FieldValue {
    match value {
        None | Some(Value::Null) => FieldValue::Absent,
        Some(value) if is_secret && hides(&path.text, value) => FieldValue::Redacted,
        Some(value) if holds_a_secret(value) => FieldValue::Redacted,
        Some(value) => FieldValue::Known(value.clone()),
    }
}

/// The fields of a Secret, or of an environment variable, that hold its content; the rest of it may be shown.
fn hides(path: &str, value: &Value) -> bool {
    path.starts_with("data")
        || path.starts_with("stringData")
        || path.rsplit('.').next() == Some("value")
        || value.is_object()
}

/// `{ name: "NATS_PASSWORD", value: ... }`
fn names_a_secret(value: Option<&Value>) -> bool {
    const WORDS: [&str; 6] = [
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "private",
    ];
    let Some(value) = value else { return false };
    value.get("value").is_some()
        && value["name"].as_str().is_some_and(|name| {
            let name = name.to_lowercase();
            WORDS.iter().any(|word| name.contains(word))
        })
}

/// Whether a whole value that came or went has a secret environment variable in it.
fn holds_a_secret(value: &Value) -> bool {
    match value {
        Value::Object(fields) => names_a_secret(Some(value)) || fields.values().any(holds_a_secret),
        Value::Array(items) => items.iter().any(holds_a_secret),
        _ => false,
    }
}

fn are_named(items: &[Value]) -> bool {
    items.iter().all(|item| item["name"].is_string())
}

fn name(item: &Value) -> &str {
    item["name"].as_str().unwrap_or_default()
}

fn find<'a>(items: &'a [Value], wanted: &str) -> Option<&'a Value> {
    items.iter().find(|item| name(item) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        difference(before, after)
            .iter()
            .map(|change| format!("{}: {} -> {}", change.path, change.before, change.after))
            .collect()
    }

    fn deployment(image: &str, replicas: u8) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": { "name": "web", "resourceVersion": "7", "generation": 1 },
            "spec": { "replicas": replicas, "template": { "spec": { "containers": [
                { "name": "side", "image": "side:1" },
                { "name": "operator", "image": image, "args": ["-v", "2"] },
            ]}}},
        })
    }

    #[test]
    fn entries_of_lists_go_by_name() {
        assert_eq!(
            lines(&deployment("app:1", 1), &deployment("app:2", 3)),
            [
                "spec.replicas: 1 -> 3",
                "spec.template.spec.containers[operator].image: app:1 -> app:2",
            ]
        );
    }

    #[test]
    fn what_the_server_writes_for_itself_is_no_change() {
        let mut after = deployment("app:1", 1);
        after["metadata"]["resourceVersion"] = json!("8");
        after["metadata"]["managedFields"] = json!([{ "manager": "harmony" }]);
        after["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": "2" });
        after["status"] = json!({ "replicas": 1 });
        let mut before = deployment("app:1", 1);
        before["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": "1" });
        assert!(difference(&before, &after).is_empty());
    }

    #[test]
    fn what_comes_and_goes_is_told_whole() {
        let before = json!({ "metadata": { "labels": { "a": "1" } }, "list": [1, 2] });
        let after = json!({ "metadata": { "labels": { "a": "1", "x.y/z": "2" } }, "list": [1] });
        assert_eq!(
            lines(&before, &after),
            [
                "list[1]: 2 -> (not set)",
                "metadata.labels[x.y/z]: (not set) -> 2"
            ]
        );
    }

    #[test]
    fn a_secret_never_shows() {
        let canary = "c2VjcmV0LWNhbmFyeQ==";
        let secret = |value: &str| json!({ "kind": "Secret", "type": "Opaque", "data": { "password": value } });
        let environment = |value: &str| {
            json!({ "kind": "Deployment", "containers": [
                { "name": "a", "env": [{ "name": "NATS_PASSWORD", "value": value }, { "name": "LOG", "value": "info" }] }
            ]})
        };
        let cases = [
            (secret("old"), secret(canary)),
            (json!({ "kind": "Secret" }), secret(canary)),
            (environment("old"), environment(canary)),
            (
                json!({ "kind": "Deployment", "containers": [] }),
                environment(canary),
            ),
            (
                json!({ "kind": "Deployment", "containers": [{ "name": "a" }] }),
                environment(canary),
            ),
        ];
        for (before, after) in cases {
            let found = difference(&before, &after);
            assert!(!found.is_empty());
            let text = format!("{found:?} {}", serde_json::to_string(&found).unwrap());
            assert!(!text.contains(canary), "{text}");
        }
    }
}
