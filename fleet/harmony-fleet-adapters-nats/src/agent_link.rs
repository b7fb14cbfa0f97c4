//! The connection of a device to its operator.

use async_nats::{Request, RequestErrorKind};
use async_trait::async_trait;
use harmony_fleet_domain::{AgentLink, Cause, LinkError};
use harmony_reconciler_contracts::{
    DeviceId, Heartbeat, Registration, RegistrationReply, TenantId, subjects,
};
use serde::Serialize;

use crate::NatsConnection;
use crate::decode::{DEVICE_MESSAGE, decode};

/// The subjects of a device on a connection.
#[derive(Debug, Clone)]
pub struct NatsAgentLink {
    connection: NatsConnection,
    register: String,
    heartbeat: String,
}

impl NatsAgentLink {
    /// The link of `device`. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: &TenantId, device: &DeviceId) -> Self {
        Self {
            connection,
            register: subjects::register(tenant, device),
            heartbeat: subjects::heartbeat(tenant, device),
        }
    }
}

#[async_trait]
impl AgentLink for NatsAgentLink {
    async fn register(&self, registration: &Registration) -> Result<RegistrationReply, LinkError> {
        self.connection.check_up()?;
        let subject = self.register.clone();
        let timeout = self.connection.request_timeout;
        let request = Request::new()
            .payload(encode(registration, &subject)?.into())
            .timeout(Some(timeout));
        match self
            .connection
            .client
            .send_request(subject.clone(), request)
            .await
        {
            Ok(answer) => {
                decode(&answer.payload, DEVICE_MESSAGE).map_err(|source| LinkError::Unreadable {
                    subject,
                    source: source.into(),
                })
            }
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => LinkError::NoOperator { subject },
                RequestErrorKind::TimedOut => LinkError::NoAnswer {
                    subject,
                    seconds: timeout.as_secs(),
                },
                _ => failed(subject, error),
            }),
        }
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LinkError> {
        self.connection.check_up()?;
        let subject = self.heartbeat.clone();
        let payload = encode(heartbeat, &subject)?;
        let client = &self.connection.client;
        let send = async {
            client
                .publish(subject.clone(), payload.into())
                .await
                .map_err(|e| failed(subject.clone(), e))?;
            client.flush().await.map_err(|e| failed(subject.clone(), e))
        };
        // A flush on a connection that is breaking waits for the next one.
        tokio::time::timeout(self.connection.request_timeout, send)
            .await
            .unwrap_or_else(|elapsed| Err(failed(subject.clone(), elapsed)))
    }

    async fn came_up(&self) {
        self.connection.came_up().await;
    }

    async fn reconnected(&self) {
        self.connection.reconnected().await;
    }
}

fn encode(message: &impl Serialize, subject: &str) -> Result<Vec<u8>, LinkError> {
    serde_json::to_vec(message).map_err(|e| failed(subject.to_owned(), e))
}

fn failed(subject: String, source: impl Into<Cause>) -> LinkError {
    LinkError::Failed {
        subject,
        source: source.into(),
    }
}
