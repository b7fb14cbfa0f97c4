//! The commands from the operator and tools to this device.

use harmony_fleet_adapters_nats::{Backoff, CommandServer};
use harmony_fleet_domain::ErrorChain;
use harmony_reconciler_contracts::{Command, CommandError, CommandOutcome, ShortText};
use tokio::sync::Notify;

/// Serves commands forever. A request to register again notifies `again`: the operator has lost what it knew.
pub async fn serve(
    server: &CommandServer,
    agent_version: &ShortText,
    again: &[&Notify],
    retry: Backoff,
) {
    let handle = |command| std::future::ready(carry_out(command, agent_version, again));
    for attempt in 1.. {
        if let Err(error) = server.serve(handle).await {
            tracing::warn!(error = %ErrorChain(&error), "cannot receive commands; trying again");
        }
        tokio::time::sleep(retry.wait(attempt)).await;
    }
}

fn carry_out(
    command: Command,
    agent_version: &ShortText,
    again: &[&Notify],
) -> Result<CommandOutcome, CommandError> {
    match command {
        Command::Ping { sequence, .. } => Ok(CommandOutcome::Pong {
            sequence,
            agent_version: agent_version.clone(),
        }),
        Command::Register { .. } => {
            for waiting in again {
                waiting.notify_one();
            }
            Ok(CommandOutcome::Registering)
        }
        Command::Unknown(unknown) => Err(CommandError::Unsupported {
            command: unknown.command,
        }),
    }
}
