//! Where alerts are sent: the port [`AlertReceiver`], and the Secrets that receivers refer to.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use base64::Engine as _;
use harmony_core::capability::KubernetesCluster;
use harmony_core::kubernetes::ObjectRef;
use harmony_types::{Namespace, ResourceName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::error::MonitoringError;

/// A place that alerts are sent to. Implement it for a product that Alertmanager has an integration for, and pass it to
/// [`MonitoringScore::notify`](super::MonitoringScore::notify).
///
/// A receiver is plain data: it describes itself as an element of Alertmanager's configuration, and as one of an
/// `AlertmanagerConfig` of prometheus-operator. Passwords and tokens are in Secrets of the namespace, and the receiver
/// only refers to them.
///
/// ```
/// use harmony::scores::monitoring::{AlertReceiver, SecretKey, SecretValues};
/// use harmony::types::ResourceName;
/// use serde_json::{Value, json};
///
/// #[derive(Debug)]
/// struct PagerDuty {
///     name: ResourceName,
///     routing_key: SecretKey,
/// }
///
/// impl AlertReceiver for PagerDuty {
///     fn name(&self) -> &ResourceName {
///         &self.name
///     }
///     fn integration(&self) -> &'static str {
///         "pagerduty"
///     }
///     fn secrets(&self) -> Vec<SecretKey> {
///         vec![self.routing_key.clone()]
///     }
///     fn alertmanager(&self, secrets: &SecretValues) -> Value {
///         json!({ "routing_key": secrets.text(&self.routing_key) })
///     }
///     fn alertmanager_config(&self) -> Value {
///         json!({ "routingKey": self.routing_key.selector() })
///     }
/// }
/// ```
pub trait AlertReceiver: Debug + Send + Sync {
    /// The name, unique among the receivers of a Score.
    fn name(&self) -> &ResourceName;

    /// The name of the integration in Alertmanager: `webhook` for `webhook_configs`.
    fn integration(&self) -> &'static str;

    /// The Secrets that it refers to.
    fn secrets(&self) -> Vec<SecretKey> {
        Vec::new()
    }

    /// The element of `<integration>_configs` in Alertmanager's configuration, which is stored in a Secret.
    fn alertmanager(&self, secrets: &SecretValues) -> Value;

    /// The element of `<integration>Configs` in an `AlertmanagerConfig` (version `v1alpha1`) of prometheus-operator.
    fn alertmanager_config(&self) -> Value;
}

/// A key of a Secret in the namespace of the monitoring.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    /// The name of the Secret.
    pub secret: ResourceName,
    /// The key in its data.
    pub key: String,
}

impl SecretKey {
    /// The key `key` of the Secret `secret`.
    pub fn new(secret: ResourceName, key: impl Into<String>) -> Self {
        Self {
            secret,
            key: key.into(),
        }
    }

    /// The reference in resources of Kubernetes: `{ "name": ..., "key": ... }`.
    pub fn selector(&self) -> Value {
        json!({ "name": self.secret.as_str(), "key": self.key })
    }
}

/// `key password of Secret mail`
impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` of Secret `{}`", self.key, self.secret)
    }
}

/// Valid as an address and as a password.
const PLACEHOLDER: &str = "https://secret.invalid/";

/// The values of the Secrets that receivers refer to. Never printed.
#[derive(Debug, Clone, Default)]
pub struct SecretValues(BTreeMap<SecretKey, SecretString>);

impl SecretValues {
    /// The value of a key that [`AlertReceiver::secrets`] lists; a placeholder if the Secret does not exist yet, which
    /// is possible only in a plan.
    pub fn text(&self, key: &SecretKey) -> &str {
        self.0
            .get(key)
            .map_or(PLACEHOLDER, |value| value.expose_secret())
    }

    /// The text without the values, for evidence from logs.
    pub(super) fn redact(&self, text: &str) -> String {
        let values = self.0.values().map(ExposeSecret::expose_secret);
        values
            .filter(|value| !value.is_empty())
            .fold(text.to_owned(), |text, value| {
                text.replace(value, "(hidden)")
            })
    }

    /// Reads the Secrets of `receivers`.
    pub(super) async fn read(
        cluster: &dyn KubernetesCluster,
        namespace: &Namespace,
        receivers: &[impl AsRef<dyn AlertReceiver>],
        is_planning: bool,
    ) -> Result<Self, MonitoringError> {
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
        Ok(Self(values))
    }
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
impl SecretValues {
    pub(super) fn of(values: &[(&SecretKey, &str)]) -> Self {
        let values = values.iter();
        Self(
            values
                .map(|(key, value)| ((*key).clone(), (*value).to_owned().into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_without_a_line_end_and_never_shown() {
        let key = SecretKey::new("mail".parse().unwrap(), "password");
        let secret = |data: &str| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(data);
            json!({ "kind": "Secret", "data": { "password": encoded } })
        };
        let value = value_of(&secret("s3cret-word\n"), &key).unwrap();
        assert_eq!(value.expose_secret(), "s3cret-word");
        assert!(value_of(&secret(""), &key).is_none());
        assert!(value_of(&json!({ "data": {} }), &key).is_none());
        let values = SecretValues::of(&[(&key, "s3cret-word")]);
        assert!(!format!("{values:?}").contains("s3cret"));
        assert_eq!(
            values.redact("status 403: http://x/s3cret-word: no"),
            "status 403: http://x/(hidden): no"
        );
        assert_eq!(SecretValues::default().redact("text"), "text");
    }
}
