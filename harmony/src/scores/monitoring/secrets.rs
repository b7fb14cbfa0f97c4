//! Reads the Secrets that receivers refer to.

use std::collections::BTreeMap;

use base64::Engine as _;
use harmony_core::capability::KubernetesCluster;
use harmony_core::kubernetes::ObjectRef;
use harmony_types::Namespace;
use secrecy::SecretString;
use serde_json::Value;

use super::error::MonitoringError;
use super::receiver::{AlertReceiver, SecretKey, SecretValues};

/// Reads the Secrets of `receivers`.
pub(super) async fn read(
    cluster: &dyn KubernetesCluster,
    namespace: &Namespace,
    receivers: &[impl AsRef<dyn AlertReceiver>],
    is_planning: bool,
) -> Result<SecretValues, MonitoringError> {
    let mut values = BTreeMap::new();
    for receiver in receivers {
        for key in receiver.as_ref().secrets() {
            if values.contains_key(&key) {
                continue;
            }
            let reference = ObjectRef {
                api_version: "v1".into(),
                kind: "Secret".into(),
                namespace: Some(namespace.clone()),
                name: key.secret.clone().into(),
            };
            let object = cluster.get(&reference).await?;
            let value = object
                .as_ref()
                .and_then(|object| value_of(object.body(), &key));
            match value {
                Some(value) => drop(values.insert(key, value)),
                // The Secret may be created by another Score of the same run.
                None if is_planning => {}
                None => {
                    return Err(MonitoringError::Secret {
                        receiver: receiver.as_ref().name().clone(),
                        namespace: namespace.clone(),
                        key,
                    });
                }
            }
        }
    }
    Ok(SecretValues(values))
}

/// The text in a Secret, without the line end that editors add.
fn value_of(secret: &Value, key: &SecretKey) -> Option<SecretString> {
    let encoded = secret.get("data")?.get(&key.key)?.as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.trim_end_matches(['\r', '\n']);
    (!text.is_empty()).then(|| text.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    #[test]
    fn values_are_read_without_a_line_end() {
        let key = SecretKey::new("mail".parse().unwrap(), "password");
        let secret = |data: &str| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(data);
            json!({ "kind": "Secret", "data": { "password": encoded } })
        };
        let value = value_of(&secret("s3cret-word\n"), &key).unwrap();
        assert_eq!(value.expose_secret(), "s3cret-word");
        assert!(value_of(&secret(""), &key).is_none());
        assert!(value_of(&json!({ "data": {} }), &key).is_none());
    }
}
