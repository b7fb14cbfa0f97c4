//! E-mail over SMTP.

use harmony_types::ResourceName;
use serde_json::{Value, json};

use super::default_name;
use crate::scores::monitoring::{AlertReceiver, SecretKey, SecretValues};

/// Sends an e-mail through an SMTP server.
#[derive(Debug, Clone)]
pub struct EmailReceiver {
    /// The name, `email` by default.
    pub name: ResourceName,
    /// The recipients, separated by commas.
    pub to: String,
    /// The sender.
    pub from: String,
    /// The SMTP server and its port: `mail.example.com:587`.
    pub server: String,
    /// The login, for a server that requires one.
    pub login: Option<EmailLogin>,
    /// Whether the server must support STARTTLS. Only a relay in the cluster should be used without it.
    pub require_tls: bool,
}

/// A login for an SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretKey,
}

impl EmailReceiver {
    /// Sends from an address to recipients through a server, encrypted and without a login.
    pub fn new(server: impl Into<String>, from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            name: default_name("email"),
            to: to.into(),
            from: from.into(),
            server: server.into(),
            login: None,
            require_tls: true,
        }
    }

    /// Sets the name, for a second receiver of this kind.
    #[must_use]
    pub fn named(self, name: ResourceName) -> Self {
        Self { name, ..self }
    }

    /// Adds a login.
    #[must_use]
    pub fn with_login(self, user: impl Into<String>, password: SecretKey) -> Self {
        Self {
            login: Some(EmailLogin {
                user: user.into(),
                password,
            }),
            ..self
        }
    }

    /// Sends in clear text if the server does not support encryption.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self {
            require_tls: false,
            ..self
        }
    }
}

impl AlertReceiver for EmailReceiver {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn integration(&self) -> &'static str {
        "email"
    }

    fn secrets(&self) -> Vec<SecretKey> {
        let login = self.login.iter();
        login.map(|login| login.password.clone()).collect()
    }

    fn alertmanager(&self, secrets: &SecretValues) -> Value {
        let mut email = json!({
            "to": self.to,
            "from": self.from,
            "smarthost": self.server,
            "require_tls": self.require_tls,
            "send_resolved": true,
        });
        if let Some(login) = &self.login {
            email["auth_username"] = login.user.as_str().into();
            email["auth_password"] = secrets.text(&login.password).into();
        }
        email
    }

    fn alertmanager_config(&self) -> Value {
        let mut email = json!({
            "to": self.to,
            "from": self.from,
            "smarthost": self.server,
            "requireTLS": self.require_tls,
            "sendResolved": true,
        });
        if let Some(login) = &self.login {
            email["authUsername"] = login.user.as_str().into();
            email["authPassword"] = login.password.selector();
        }
        email
    }
}
