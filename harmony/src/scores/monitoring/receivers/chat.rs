//! Chats with incoming webhooks: Slack and Discord, and other servers that accept the same messages.

use harmony_types::ResourceName;
use serde_json::{Value, json};

use super::default_name;
use crate::scores::monitoring::{AlertReceiver, SecretKey, SecretValues};

/// The title of a message.
const TITLE: &str = "[{{ .Status }}] {{ .CommonLabels.alertname }}";
/// One line for each alert.
const TEXT: &str = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}";

/// Writes to a channel of Slack, or of a server that accepts Slack's messages, such as Mattermost.
#[derive(Debug, Clone)]
pub struct SlackReceiver {
    /// The name, `slack` by default.
    pub name: ResourceName,
    /// The address of the incoming webhook, which is a secret.
    pub url: SecretKey,
    /// The channel; `None` for the one that the webhook belongs to.
    pub channel: Option<String>,
}

impl SlackReceiver {
    /// Writes to the channel that the webhook belongs to.
    pub fn new(url: SecretKey) -> Self {
        Self {
            name: default_name("slack"),
            url,
            channel: None,
        }
    }

    /// Sets the name, for a second receiver of this kind.
    #[must_use]
    pub fn named(self, name: ResourceName) -> Self {
        Self { name, ..self }
    }
}

impl AlertReceiver for SlackReceiver {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn integration(&self) -> &'static str {
        "slack"
    }

    fn secrets(&self) -> Vec<SecretKey> {
        vec![self.url.clone()]
    }

    fn alertmanager(&self, secrets: &SecretValues) -> Value {
        let mut slack = json!({
            "api_url": secrets.text(&self.url),
            "send_resolved": true,
            "title": TITLE,
            "text": TEXT,
        });
        if let Some(channel) = &self.channel {
            slack["channel"] = channel.as_str().into();
        }
        slack
    }

    fn alertmanager_config(&self) -> Value {
        let mut slack = json!({
            "apiURL": self.url.selector(),
            "sendResolved": true,
            "title": TITLE,
            "text": TEXT,
        });
        if let Some(channel) = &self.channel {
            slack["channel"] = channel.as_str().into();
        }
        slack
    }
}

/// Writes to a channel of Discord, or of a server that accepts Discord's messages.
#[derive(Debug, Clone)]
pub struct DiscordReceiver {
    /// The name, `discord` by default.
    pub name: ResourceName,
    /// The address of the webhook, which is a secret.
    pub url: SecretKey,
}

impl DiscordReceiver {
    /// Writes to the channel that the webhook belongs to.
    pub fn new(url: SecretKey) -> Self {
        Self {
            name: default_name("discord"),
            url,
        }
    }

    /// Sets the name, for a second receiver of this kind.
    #[must_use]
    pub fn named(self, name: ResourceName) -> Self {
        Self { name, ..self }
    }
}

impl AlertReceiver for DiscordReceiver {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn integration(&self) -> &'static str {
        "discord"
    }

    fn secrets(&self) -> Vec<SecretKey> {
        vec![self.url.clone()]
    }

    fn alertmanager(&self, secrets: &SecretValues) -> Value {
        json!({
            "webhook_url": secrets.text(&self.url),
            "send_resolved": true,
            "title": TITLE,
            "message": TEXT,
        })
    }

    fn alertmanager_config(&self) -> Value {
        json!({
            "apiURL": self.url.selector(),
            "sendResolved": true,
            "title": TITLE,
            "message": TEXT,
        })
    }
}
