//! Push messages to phones and desktops with ntfy.

use harmony_types::ResourceName;
use serde_json::Value;

use super::{AddressError, HttpAddress, WebhookReceiver, default_name};
use crate::scores::monitoring::{AlertReceiver, SecretKey, SecretValues};

/// Publishes alerts to a topic of [ntfy](https://ntfy.sh), version 2.14 or later, whose template `alertmanager` turns
/// Alertmanager's JSON into a message.
#[derive(Debug, Clone)]
pub struct NtfyReceiver(WebhookReceiver);

impl NtfyReceiver {
    /// Publishes to `topic` of the server, for example `https://ntfy.sh`. On a public server, everybody who knows the
    /// name of a topic can read it.
    ///
    /// # Errors
    /// The server and the topic are not a valid address.
    pub fn new(server: &HttpAddress, topic: &str) -> Result<Self, AddressError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if topic.is_empty() || !topic.chars().all(legal) {
            return Err(AddressError::Character);
        }
        let server = server.as_str().trim_end_matches('/');
        let url = format!("{server}/{topic}?template=alertmanager").parse()?;
        Ok(Self(WebhookReceiver::new(url).named(default_name("ntfy"))))
    }

    /// Sets the name, for a second topic.
    #[must_use]
    pub fn named(self, name: ResourceName) -> Self {
        Self(self.0.named(name))
    }

    /// Adds an access token, for a topic that not everybody may publish to.
    #[must_use]
    pub fn with_token(self, token: SecretKey) -> Self {
        Self(self.0.with_token(token))
    }
}

impl AlertReceiver for NtfyReceiver {
    fn name(&self) -> &ResourceName {
        self.0.name()
    }

    fn integration(&self) -> &'static str {
        self.0.integration()
    }

    fn secrets(&self) -> Vec<SecretKey> {
        self.0.secrets()
    }

    fn alertmanager(&self, secrets: &SecretValues) -> Value {
        self.0.alertmanager(secrets)
    }

    fn alertmanager_config(&self) -> Value {
        self.0.alertmanager_config()
    }
}
