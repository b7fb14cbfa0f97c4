//! Alertmanager's own JSON, sent to any HTTP server.

use harmony_types::ResourceName;
use serde_json::{Value, json};

use super::{HttpAddress, default_name};
use crate::scores::monitoring::{AlertReceiver, SecretKey, SecretValues};

/// Posts alerts as JSON in Alertmanager's format.
#[derive(Debug, Clone)]
pub struct WebhookReceiver {
    /// The name, `webhook` by default.
    pub name: ResourceName,
    /// The address.
    pub url: WebhookUrl,
    /// A token for the header `Authorization: Bearer`.
    pub token: Option<SecretKey>,
}

/// The address of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookUrl {
    /// An address that everybody may know.
    Public(HttpAddress),
    /// An address that is a secret, because everybody who knows it can use it.
    Secret(SecretKey),
}

impl WebhookReceiver {
    /// A webhook without a token.
    pub fn new(url: HttpAddress) -> Self {
        Self::at(WebhookUrl::Public(url))
    }

    /// A webhook whose address is in a Secret.
    pub fn at_secret_url(url: SecretKey) -> Self {
        Self::at(WebhookUrl::Secret(url))
    }

    fn at(url: WebhookUrl) -> Self {
        Self {
            name: default_name("webhook"),
            url,
            token: None,
        }
    }

    /// Sets the name, for a second receiver of this kind.
    #[must_use]
    pub fn named(self, name: ResourceName) -> Self {
        Self { name, ..self }
    }

    /// Adds a token.
    #[must_use]
    pub fn with_token(self, token: SecretKey) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }
}

impl AlertReceiver for WebhookReceiver {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn integration(&self) -> &'static str {
        "webhook"
    }

    fn secrets(&self) -> Vec<SecretKey> {
        let url = match &self.url {
            WebhookUrl::Public(_) => None,
            WebhookUrl::Secret(key) => Some(key.clone()),
        };
        url.into_iter().chain(self.token.clone()).collect()
    }

    fn alertmanager(&self, secrets: &SecretValues) -> Value {
        let url = match &self.url {
            WebhookUrl::Public(url) => url.as_str(),
            WebhookUrl::Secret(key) => secrets.text(key),
        };
        let mut webhook = json!({ "url": url, "send_resolved": true });
        if let Some(token) = &self.token {
            webhook["http_config"] = json!({
                "authorization": { "type": "Bearer", "credentials": secrets.text(token) },
            });
        }
        webhook
    }

    fn alertmanager_config(&self) -> Value {
        let mut webhook = json!({ "sendResolved": true });
        match &self.url {
            WebhookUrl::Public(url) => webhook["url"] = url.as_str().into(),
            WebhookUrl::Secret(key) => webhook["urlSecret"] = key.selector(),
        }
        if let Some(token) = &self.token {
            webhook["httpConfig"] = json!({
                "authorization": { "type": "Bearer", "credentials": token.selector() },
            });
        }
        webhook
    }
}
