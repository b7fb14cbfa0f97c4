//! The receiving side of commands on a device.

use std::time::Duration;

use async_nats::Message;
use futures_util::StreamExt;
use harmony_reconciler_contracts::{
    BootId, Command, CommandError, CommandOutcome, CommandReply, DeviceId, SchemaVersion, TenantId,
    subjects,
};

use crate::NatsConnection;
use crate::decode::{DEVICE_MESSAGE, decode};

/// Receives the commands for a device, executes them, and answers them.
///
/// Uses one core subscription, which NATS keeps across reconnects. Commands are executed one at a time in the order of
/// their arrival, with the time limit [`CommandServer::TIME_LIMIT`].
#[derive(Debug, Clone)]
pub struct CommandServer {
    connection: NatsConnection,
    subject: String,
    boot: BootId,
}

impl CommandServer {
    /// The time limit for a command.
    pub const TIME_LIMIT: Duration = Duration::from_secs(30);

    /// The server of `device`, which answers with the boot id `boot`. Sends nothing yet.
    pub fn new(
        connection: NatsConnection,
        tenant: &TenantId,
        device: &DeviceId,
        boot: BootId,
    ) -> Self {
        Self {
            connection,
            subject: subjects::command(tenant, device),
            boot,
        }
    }

    /// Serves until the subscription ends; then call it again. No command can stop the server: invalid or unknown
    /// commands, failures and timeouts are answered with a [`CommandError`].
    pub async fn serve<Running>(
        &self,
        handle: impl Fn(Command) -> Running,
    ) -> Result<(), CommandServerError>
    where
        Running: Future<Output = Result<CommandOutcome, CommandError>>,
    {
        let client = &self.connection.client;
        let mut commands = client
            .subscribe(self.subject.clone())
            .await
            .map_err(|source| CommandServerError::Subscribe {
                subject: self.subject.clone(),
                source,
            })?;
        while let Some(message) = commands.next().await {
            let outcome = carry_out(&message, &handle).await.unwrap_or_else(|error| {
                tracing::warn!(subject = self.subject, %error, "refused a command");
                CommandOutcome::Failed { error }
            });
            self.answer(&message, outcome).await;
        }
        Err(CommandServerError::Ended {
            subject: self.subject.clone(),
        })
    }

    async fn answer(&self, message: &Message, outcome: CommandOutcome) {
        let Some(reply) = &message.reply else {
            return;
        };
        let answer = CommandReply {
            version: SchemaVersion::CURRENT,
            boot: self.boot.clone(),
            outcome,
        };
        match serde_json::to_vec(&answer) {
            Ok(payload) => {
                if let Err(error) = self
                    .connection
                    .client
                    .publish(reply.clone(), payload.into())
                    .await
                {
                    tracing::warn!(subject = self.subject, %error, "could not answer a command");
                }
            }
            Err(error) => {
                tracing::error!(subject = self.subject, %error, "could not encode an answer");
            }
        }
    }
}

async fn carry_out<Running>(
    message: &Message,
    handle: &impl Fn(Command) -> Running,
) -> Result<CommandOutcome, CommandError>
where
    Running: Future<Output = Result<CommandOutcome, CommandError>>,
{
    let command =
        decode(&message.payload, DEVICE_MESSAGE).map_err(|error| CommandError::Malformed {
            detail: error.to_string().into(),
        })?;
    if let Command::Unknown(unknown) = command {
        return Err(CommandError::Unsupported {
            command: unknown.command,
        });
    }
    let limit = CommandServer::TIME_LIMIT;
    tokio::time::timeout(limit, handle(command))
        .await
        .unwrap_or_else(|_| {
            Err(CommandError::Failed {
                detail: format!("it took longer than {} s", limit.as_secs()).into(),
            })
        })
}

/// The reason why no commands are served.
#[derive(Debug, thiserror::Error)]
pub enum CommandServerError {
    #[error("cannot subscribe to `{subject}`")]
    Subscribe {
        subject: String,
        #[source]
        source: async_nats::SubscribeError,
    },
    /// The subscription ended together with the connection.
    #[error("the subscription to `{subject}` ended")]
    Ended { subject: String },
}
