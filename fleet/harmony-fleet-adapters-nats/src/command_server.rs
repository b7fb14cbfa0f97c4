//! The device's end of commands.

use std::time::Duration;

use async_nats::Message;
use futures_util::StreamExt;
use harmony_reconciler_contracts::{
    BootId, Command, CommandError, CommandOutcome, CommandReply, DeviceId, SchemaVersion, TenantId,
    subjects,
};

use crate::NatsConnection;
use crate::decode::{DEVICE_MESSAGE, decode};

/// Receives the commands for one device, has them carried out, and answers each.
///
/// One core subscription; NATS keeps it over reconnects. Commands are carried out one after the other, in
/// the order in which they arrive, each within [`CommandServer::TIME_LIMIT`].
#[derive(Debug, Clone)]
pub struct CommandServer {
    connection: NatsConnection,
    subject: String,
    boot: BootId,
}

impl CommandServer {
    /// Longest execution of one command.
    pub const TIME_LIMIT: Duration = Duration::from_secs(30);

    /// The server of `device`, answering as the run `boot`. No traffic yet.
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

    /// Serves until the subscription ends; call it again then. Whatever a command does, the
    /// server goes on: an unreadable or unknown command, a failure and a timeout are each answered with a
    /// [`CommandError`].
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

/// Why no commands are served.
#[derive(Debug, thiserror::Error)]
pub enum CommandServerError {
    /// The subscription was not accepted.
    #[error("cannot subscribe to `{subject}`")]
    Subscribe {
        /// The subject.
        subject: String,
        /// What the client library said.
        #[source]
        source: async_nats::SubscribeError,
    },
    /// The subscription ended, with the connection.
    #[error("the subscription to `{subject}` ended")]
    Ended {
        /// The subject.
        subject: String,
    },
}
