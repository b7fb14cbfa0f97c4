//! Normalizes an object before it is sent, where the server would rewrite it anyway.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Drops nulls, which server-side apply treats as "not set", and moves `stringData` of a Secret into `data`: as
/// `stringData` it would differ from the stored object in every comparison, and removed keys would remain. Also drops
/// the rules of aggregated roles, which the server fills in.
///
/// The strings of the object must have been checked.
pub(crate) fn as_sent(body: &Value) -> Value {
    let mut body = body.clone();
    drop_nulls(&mut body);
    if body["kind"] == "ClusterRole"
        && body["aggregationRule"].is_object()
        && let Some(role) = body.as_object_mut()
    {
        role.remove("rules");
    }
    if body["kind"] == "Secret"
        && let Some(secret) = body.as_object_mut()
        && let Some(Value::Object(texts)) = secret.remove("stringData")
    {
        let data = secret
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                let text = text.as_str().unwrap_or_default();
                data.insert(key, Value::String(STANDARD.encode(text)));
            }
        }
    }
    body
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_rules_of_an_aggregated_role_are_left_to_the_server() {
        let role = |rules: Value, rule: Value| {
            as_sent(&json!({ "kind": "ClusterRole", "rules": rules, "aggregationRule": rule }))
        };
        assert_eq!(role(json!([]), json!({}))["rules"], Value::Null);
        assert_eq!(role(json!([1]), json!(null))["rules"], json!([1]));
    }

    #[test]
    fn a_secret_is_sent_as_it_is_stored() {
        let sent = as_sent(&json!({
            "kind": "Secret", "data": { "a": "YQ==" }, "stringData": { "b": "b" }, "immutable": null
        }));
        assert_eq!(
            sent,
            json!({ "kind": "Secret", "data": { "a": "YQ==", "b": "Yg==" } })
        );
    }
}
