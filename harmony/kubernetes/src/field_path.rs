//! Paths of fields, as shown to users and as written by the server.

use serde_json::Value;

/// `spec.replicas`, `metadata.labels[app.kubernetes.io/name]`
pub(crate) fn child(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) {
        format!("{path}[{key}]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// `containers[web]`, or the index if the entry has no name.
pub(crate) fn entry(path: &str, index: usize, item: &Value) -> String {
    match item["name"].as_str() {
        Some(name) => format!("{path}[{name}]"),
        None => format!("{path}[{index}]"),
    }
}

/// The value at a path in the server's notation (`.webhooks[name="a"].clientConfig.caBundle`).
///
/// A key may contain dots, which the server does not escape, so the longest existing key wins.
pub(crate) fn get<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = locate(value, path)?;
    value.pointer(&pointer)
}

/// Removes the value at such a path. Returns false if there is none.
pub(crate) fn remove(value: &mut Value, path: &str) -> bool {
    let Some(pointer) = locate(value, path) else {
        return false;
    };
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return false;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&unescaped(last)).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// The JSON pointer of a path.
fn locate(value: &Value, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(String::new());
    }
    let (step, inner, rest) = if let Some(path) = path.strip_prefix('.') {
        let fields = value.as_object()?;
        let is_whole = |key: &&String| {
            path.strip_prefix(key.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let key = fields.keys().filter(is_whole).max_by_key(|key| key.len())?;
        (escaped(key), &fields[key], &path[key.len()..])
    } else {
        let (keys, length) = bracket(path)?;
        let items = value.as_array()?;
        let index = items.iter().position(|item| {
            keys.iter().all(|(key, value)| match key.as_str() {
                "" => item == value,
                key => item.get(key).is_none_or(|own| own == value),
            })
        })?;
        (index.to_string(), &items[index], &path[length..])
    };
    Some(format!("/{step}{}", locate(inner, rest)?))
}

/// Parses `[name="web",port=80]` into its keys, or `[="a"]` into the value; also returns the length.
fn bracket(path: &str) -> Option<(Vec<(String, Value)>, usize)> {
    let inner = path.strip_prefix('[')?;
    let mut keys = Vec::new();
    let mut at = 1;
    let mut rest = inner;
    loop {
        let (key, value) = rest.split_once('=')?;
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
        let parsed = values.next()?.ok()?;
        let length = values.byte_offset();
        keys.push((key.to_owned(), parsed));
        at += key.len() + 1 + length;
        match value[length..].chars().next()? {
            ']' => return Some((keys, at + 1)),
            ',' => {
                at += 1;
                rest = &value[length + 1..];
            }
            _ => return None,
        }
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_servers_paths_lead_to_their_values() {
        let object = json!({
            "metadata": { "labels": { "app.kubernetes.io/name": "a", "app": { "kubernetes": 1 } } },
            "spec": { "replicas": 2, "ports": [{ "port": 80 }, { "port": 81, "protocol": "UDP", "name": "x" }] },
            "finalizers": ["a", "b"],
        });
        for (path, value) in [
            (".spec.replicas", json!(2)),
            (".metadata.labels.app.kubernetes.io/name", json!("a")),
            (".metadata.labels.app.kubernetes", json!(1)),
            (".spec.ports[port=81,protocol=\"UDP\"].name", json!("x")),
            (".spec.ports[port=80,protocol=\"TCP\"].port", json!(80)),
            (".finalizers[=\"b\"]", json!("b")),
        ] {
            assert_eq!(get(&object, path), Some(&value), "{path}");
            let mut without = object.clone();
            assert!(remove(&mut without, path));
            assert_ne!(without, object);
        }
        for path in [
            ".spec.nothing",
            ".spec.ports[port=82].name",
            ".spec.ports[",
            "x",
        ] {
            assert_eq!(get(&object, path), None, "{path}");
        }
    }
}
