//! Computes the differences between two states of an object, for users.

use harmony_core::kubernetes::PUBLIC_VALUES;
use harmony_core::outcome::{FieldChange, FieldValue};
use serde_json::{Map, Value};

use crate::field_path::child;
use crate::schema::is_builtin;

/// Fields that the server writes itself: they change with every write or are irrelevant.
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
/// List entries are identified by their `name` (`spec.template.spec.containers[operator].image`), else by index; keys
/// with dots or slashes are written in brackets. A list whose named entries only changed their order is one change.
///
/// Values that may hold a secret are [`FieldValue::Redacted`]: the data of Secrets and ConfigMaps, environment
/// variables, arguments, headers, annotations, parameters of drivers, addresses with a login or a query in them, and texts
/// in custom resources. An object whose annotation [`PUBLIC_VALUES`] is `public` shows them; a Secret never does.
pub fn difference(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    let mut comparison = Comparison {
        path: String::new(),
        visibility: Visibility::of(before, after),
        found: &mut found,
    };
    comparison.compare(Some(before), Some(after), false);
    found
}

/// Which values of an object may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visibility {
    /// All except those of Secrets.
    Public,
    /// All except those under keys that may hold secrets.
    Builtin,
    /// For kinds with an unknown schema: strings are hidden.
    Custom,
    /// A Secret.
    Secret,
}

impl Visibility {
    fn of(before: &Value, after: &Value) -> Self {
        let object = if after["kind"].is_string() {
            after
        } else {
            before
        };
        let is_public = object["metadata"]["annotations"][PUBLIC_VALUES] == "public";
        match object["kind"].as_str() {
            Some("Secret") => Self::Secret,
            _ if is_public => Self::Public,
            _ if is_builtin(object) => Self::Builtin,
            _ => Self::Custom,
        }
    }

    /// Whether everything below this key is hidden.
    fn hides(self, path: &str, key: &str, parent: &Map<String, Value>) -> bool {
        let is_data = path.is_empty() && matches!(key, "data" | "stringData" | "binaryData");
        match self {
            Self::Public => false,
            Self::Secret => is_data || key == "annotations",
            Self::Builtin | Self::Custom => {
                let is_named = parent.contains_key("name") || parent.contains_key("key");
                is_data
                    || matches!(
                        key,
                        // What storage drivers are given has the keys of the driver.
                        "args" | "command" | "annotations" | "volumeAttributes" | "options"
                    )
                    || key == "parameters" && (path.is_empty() || self == Self::Custom)
                    || key == "value" && is_named
                    || self == Self::Custom
                        && (matches!(key, "env" | "data" | "stringData" | "values")
                            || parent.get(key).is_some_and(Value::is_number) && is_login(key))
            }
        }
    }

    /// Whether a string under this key is hidden.
    fn hides_text(self, key: &str) -> bool {
        const SHOWN: [&str; 10] = [
            "apiVersion",
            "image",
            "imagePullPolicy",
            "kind",
            "name",
            "namespace",
            "schedule",
            "tag",
            "type",
            "version",
        ];
        self == Self::Custom && !SHOWN.contains(&key)
    }
}

/// The current position, and the differences found.
struct Comparison<'a> {
    path: String,
    visibility: Visibility,
    found: &'a mut Vec<FieldChange>,
}

impl Comparison<'_> {
    /// Compares one level deeper.
    fn within(
        &mut self,
        path: String,
        before: Option<&Value>,
        after: Option<&Value>,
        is_hidden: bool,
    ) {
        let outer = std::mem::replace(&mut self.path, path);
        self.compare(before, after, is_hidden);
        self.path = outer;
    }

    fn compare(&mut self, before: Option<&Value>, after: Option<&Value>, is_hidden: bool) {
        if SERVER_OWNED.contains(&self.path.as_str()) || before == after {
            return;
        }
        // The server adds annotations of its own to objects without any.
        let none = Value::Object(Map::new());
        let (before, after) = if self.path == "metadata.annotations" {
            (before.or(Some(&none)), after.or(Some(&none)))
        } else {
            (before, after)
        };
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let added = new.keys().filter(|key| !old.contains_key(*key));
                for key in old.keys().chain(added) {
                    let hides = self.hides(key, old) || self.hides(key, new);
                    let path = child(&self.path, key);
                    self.within(path, old.get(key), new.get(key), is_hidden || hides);
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new)))
                if are_named(old) && are_named(new) =>
            {
                let added = new.iter().filter(|item| find(old, name(item)).is_none());
                for item in old.iter().chain(added) {
                    let name = name(item);
                    let path = format!("{}[{name}]", self.path);
                    self.within(path, find(old, name), find(new, name), is_hidden);
                }
                self.compare_order(old, new);
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                for index in 0..old.len().max(new.len()) {
                    let path = format!("{}[{index}]", self.path);
                    self.within(path, old.get(index), new.get(index), is_hidden);
                }
            }
            _ => {
                let change = FieldChange {
                    path: self.path.clone(),
                    before: self.shown(before, is_hidden),
                    after: self.shown(after, is_hidden),
                };
                self.found.push(change);
            }
        }
    }

    fn compare_order(&mut self, old: &[Value], new: &[Value]) {
        let common = |of: &[Value], other: &[Value]| -> Vec<Value> {
            let names = of.iter().map(name);
            let names = names.filter(|name| find(other, name).is_some());
            names.map(Value::from).collect()
        };
        let (before, after) = (common(old, new), common(new, old));
        if before != after {
            self.found.push(FieldChange {
                path: self.path.clone(),
                before: FieldValue::Known(before.into()),
                after: FieldValue::Known(after.into()),
            });
        }
    }

    fn hides(&self, key: &str, parent: &Map<String, Value>) -> bool {
        let is_text = match parent.get(key) {
            Some(Value::Array(items)) => items.iter().any(Value::is_string),
            value => value.is_some_and(Value::is_string),
        };
        let is_outside = !self.path.starts_with("metadata");
        self.visibility.hides(&self.path, key, parent)
            || is_text && is_outside && self.visibility.hides_text(key)
    }

    fn shown(&self, value: Option<&Value>, is_hidden: bool) -> FieldValue {
        match value {
            None | Some(Value::Null) => FieldValue::Absent,
            Some(value) if is_hidden || self.holds_hidden(&self.path, value) => {
                FieldValue::Redacted
            }
            Some(value) => FieldValue::Known(value.clone()),
        }
    }

    /// Whether an added or removed value contains something that must be hidden.
    fn holds_hidden(&self, path: &str, value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.iter().any(|(key, value)| {
                self.visibility.hides(path, key, fields)
                    || value.is_string() && self.visibility.hides_text(key)
                    || self.holds_hidden(&child(path, key), value)
            }),
            Value::String(text) => self.visibility != Visibility::Public && has_login(text),
            Value::Array(items) => items.iter().any(|item| {
                // A list of strings of a custom resource has no key of its own.
                item.is_string() && self.visibility == Visibility::Custom
                    || self.holds_hidden(path, item)
            }),
            _ => false,
        }
    }
}

/// Whether a number under this key may be a password.
fn is_login(key: &str) -> bool {
    const WORDS: [&str; 5] = ["pass", "secret", "token", "credential", "apikey"];
    let key = key.to_lowercase();
    key.ends_with("pin") || WORDS.iter().any(|word| key.contains(word))
}

/// Whether a text is an address with a login in it, or with a query, which may hold one.
fn has_login(text: &str) -> bool {
    let has_query = |text: &str| {
        text.split_once('?')
            .is_some_and(|(_, query)| query.contains('='))
    };
    let with_login = text.match_indices("://").any(|(at, separator)| {
        let rest = &text[at + separator.len()..];
        let end = rest.find(['/', ' ', '"', '\'']).unwrap_or(rest.len());
        rest[..end].contains('@') || has_query(rest)
    });
    with_login || text.starts_with('/') && has_query(text)
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
        assert!(difference(&deployment("app:1", 1), &after).is_empty());
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
    fn a_list_in_another_order_is_a_change() {
        let of = |names: [&str; 2]| {
            let items = names.map(|name| json!({ "name": name, "image": "x" }));
            json!({ "kind": "Pod", "apiVersion": "v1", "spec": { "initContainers": items } })
        };
        assert_eq!(
            lines(&of(["a", "b"]), &of(["b", "a"])),
            [r#"spec.initContainers: ["a","b"] -> ["b","a"]"#]
        );
        assert!(lines(&of(["a", "b"]), &of(["a", "b"])).is_empty());
    }

    const CANARY: &str = "s3cret-canary";

    /// All places where a value may be secret, with a sample value.
    fn secret_places(value: &str) -> Vec<Value> {
        let container = |fields: Value| {
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": {
                "containers": [fields] } } } })
        };
        vec![
            json!({ "apiVersion": "v1", "kind": "Secret", "data": { "password": value } }),
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "annotations": { PUBLIC_VALUES: "public" } },
                    "data": { "password": value } }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "url": value } }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "binaryData": { "url": value } }),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "annotations": { "a": value } } }),
            container(
                json!({ "name": "a", "env": [{ "name": "STRIPE_API_KEY", "value": value }] }),
            ),
            container(json!({ "name": "a", "env": [{ "name": "DATABASE_URL", "value": value }] })),
            container(json!({ "name": "a", "args": [format!("--password={value}")] })),
            container(json!({ "name": "a", "command": ["sh", "-c", value] })),
            container(json!({ "name": "a", "livenessProbe": { "exec": { "command": [value] } } })),
            container(json!({ "name": "a", "livenessProbe": { "httpGet": {
                "httpHeaders": [{ "name": "Authorization", "value": value }] } } })),
            container(
                json!({ "name": "a", "command": ["kubectl", "create", "secret", "generic", "x",
                &format!("--from-literal=password={value}")] }),
            ),
            container(
                json!({ "name": "a", "lifecycle": { "preStop": { "exec": { "command": [value] } } } }),
            ),
            container(
                json!({ "name": "a", "livenessProbe": { "httpGet": { "path": format!("/health?token={value}") } } }),
            ),
            container(
                json!({ "name": "a", "image": format!("https://robot:{value}@registry.example.com/a") }),
            ),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":\"{value}\"}}") ,
                "a": value } } }),
            json!({ "apiVersion": "v1", "kind": "Service", "spec": {
                "externalName": format!("https://{value}@db.example.com/x") } }),
            json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "webhooks": [
                { "name": "a", "clientConfig": { "url": format!("https://hook.example.com/v1?key={value}") } }] }),
            json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "parameters": { "adminKey": value } }),
            json!({ "apiVersion": "v1", "kind": "PersistentVolume", "spec": {
                "csi": { "driver": "d", "volumeAttributes": { "login": value } },
                "flexVolume": { "driver": "d", "options": { "login": value } } } }),
            json!({ "apiVersion": "example.com/v1", "kind": "Database", "spec": { "version": format!("git+https://u:{value}@h/x") } }),
            json!({ "apiVersion": "example.com/v1", "kind": "Database", "spec": { "login": { "word": value } } }),
            json!({ "apiVersion": "example.com/v1", "kind": "Database", "spec": { "words": [value] } }),
            json!({ "apiVersion": "example.com/v1", "kind": "Release", "spec": { "values": { "image": value } } }),
        ]
    }

    #[test]
    fn what_may_be_a_secret_never_shows() {
        let old = secret_places("old-canary");
        for (before, after) in old.iter().zip(&secret_places(CANARY)) {
            let mut empty = json!({ "apiVersion": after["apiVersion"], "kind": after["kind"] });
            if after["kind"] == "Deployment" {
                empty["spec"] = json!({ "template": { "spec": { "containers": [] } } });
            }
            for (before, after) in [(before, after), (&empty, after), (after, &empty)] {
                let found = difference(before, after);
                assert!(!found.is_empty(), "{after}");
                let text = format!("{found:?} {}", serde_json::to_string(&found).unwrap());
                assert!(!text.contains("canary"), "{text}");
            }
        }
    }

    #[test]
    fn a_number_that_may_be_a_password_does_not_show() {
        let of = |number: u32| json!({ "apiVersion": "example.com/v1", "kind": "Door", "spec": { "adminPin": number, "size": 1 } });
        assert_eq!(
            lines(&of(1234), &of(9876)),
            ["spec.adminPin: (hidden) -> (hidden)"]
        );
    }

    #[test]
    fn what_cannot_be_a_secret_is_shown_and_the_rest_on_request() {
        let database = |version: &str, size: u8| {
            json!({ "apiVersion": "example.com/v1", "kind": "Database", "metadata": { "labels": { "a": version } },
                    "spec": { "version": version, "size": size } })
        };
        assert_eq!(
            lines(&database("1", 1), &database("2", 2)),
            [
                "metadata.labels.a: 1 -> 2",
                "spec.size: 1 -> 2",
                "spec.version: 1 -> 2"
            ]
        );
        let config = |text: &str| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "annotations": { PUBLIC_VALUES: "public" } },
                    "data": { "log": text } })
        };
        assert_eq!(
            lines(&config("info"), &config("debug")),
            ["data.log: info -> debug"]
        );
    }
}
