//! Where alerts are sent: the port [`AlertReceiver`], and the Secrets that receivers refer to.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use harmony_types::ResourceName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

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
pub struct SecretValues(pub(super) BTreeMap<SecretKey, SecretString>);

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
    fn values_are_never_shown() {
        let key = SecretKey::new("mail".parse().unwrap(), "password");
        let values = SecretValues::of(&[(&key, "s3cret-word")]);
        assert!(!format!("{values:?}").contains("s3cret"));
        assert_eq!(
            values.redact("status 403: http://x/s3cret-word: no"),
            "status 403: http://x/(hidden): no"
        );
        assert_eq!(SecretValues::default().redact("text"), "text");
    }
}
