//! Checks whether a chart renders to the same objects each time.

use harmony_core::kubernetes::KubeObject;
use serde_json::Value;

/// The first difference of two renderings: the object and the field.
pub(crate) fn difference(first: &[KubeObject], second: &[KubeObject]) -> Option<(String, String)> {
    for (one, other) in first.iter().zip(second) {
        if one.reference() != other.reference() {
            return Some((one.reference().to_string(), "metadata.name".into()));
        }
        if let Some(field) = field(one.body(), other.body()) {
            return Some((one.reference().to_string(), field));
        }
    }
    let more = first.get(second.len()).or(second.get(first.len()))?;
    Some((more.reference().to_string(), "metadata".into()))
}

/// The path of the first field that differs, such as `data.password`.
fn field(one: &Value, other: &Value) -> Option<String> {
    let below = |key: String, rest: String| {
        if rest.is_empty() {
            key
        } else {
            format!("{key}.{rest}")
        }
    };
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            // Each key once: definitions are nested so deeply that every repetition would count.
            let added = others.keys().filter(|key| !ones.contains_key(*key));
            ones.keys().chain(added).find_map(|key| {
                let pair = (
                    ones.get(key).unwrap_or(&Value::Null),
                    others.get(key).unwrap_or(&Value::Null),
                );
                field(pair.0, pair.1).map(|rest| below(key.clone(), rest))
            })
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            let pairs = ones.iter().zip(others).enumerate();
            pairs.into_iter().find_map(|(at, (one, other))| {
                field(one, other).map(|rest| below(format!("[{at}]"), rest))
            })
        }
        (one, other) => (one != other).then(String::new),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(password: &str) -> Vec<KubeObject> {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login", "namespace": "site" },
            "data": { "password": password, "user": "YWRtaW4=" },
        });
        vec![KubeObject::from_value(object).unwrap()]
    }

    #[test]
    fn deep_objects_are_compared_in_no_time() {
        let nested = |innermost: Value| {
            let nested = (0..100).fold(innermost, |inner, _| json!({ "properties": inner }));
            let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "spec": nested });
            vec![KubeObject::from_value(object).unwrap()]
        };
        assert_eq!(difference(&nested(json!({})), &nested(json!({}))), None);
        let (_, field) = difference(&nested(json!({})), &nested(json!({ "type": 1 }))).unwrap();
        assert!(field.ends_with("properties.type"), "{field}");
    }

    #[test]
    fn the_first_field_that_is_made_up_is_named() {
        assert_eq!(difference(&secret("YQ=="), &secret("YQ==")), None);
        assert_eq!(
            difference(&secret("YQ=="), &secret("Yg==")),
            Some(("Secret site/login".into(), "data.password".into()))
        );
        assert!(difference(&secret("YQ=="), &[]).is_some());
    }
}
