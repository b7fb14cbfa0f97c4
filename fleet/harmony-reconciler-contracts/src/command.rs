//! Commands: requests of an operator or a tool to a device.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BootId, Reason, SchemaVersion, ShortText};

/// A request on [`crate::subjects::command`]; the subject contains the device id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Asks for an immediate [`CommandOutcome::Pong`].
    Ping {
        /// The schema version of the sender.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
        /// Copied to the answer.
        #[serde(default)]
        sequence: u32,
    },
    /// Asks the device to register again: the operator receives heartbeats of a device that is not in its registry.
    Register {
        /// The schema version of the sender.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
    },
    /// A command that this build does not know; the agent answers [`CommandError::Unsupported`].
    #[serde(untagged)]
    Unknown(UnknownTag),
}

impl Command {
    /// A ping with the schema version of this build.
    pub fn ping(sequence: u32) -> Self {
        Self::Ping {
            version: SchemaVersion::CURRENT,
            sequence,
        }
    }

    /// A request to register again, with the schema version of this build.
    pub fn register() -> Self {
        Self::Register {
            version: SchemaVersion::CURRENT,
        }
    }
}

/// The name of a command that this build does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownTag {
    /// The name in the message.
    pub command: ShortText,
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// The schema version of the device.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The boot id of the agent that answers.
    pub boot: BootId,
    /// The result.
    #[serde(flatten)]
    pub outcome: CommandOutcome,
}

/// The result of a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CommandOutcome {
    /// The answer to a [`Command::Ping`].
    Pong {
        /// The sequence number of the ping.
        sequence: u32,
        /// The version of the agent.
        #[serde(default)]
        agent_version: ShortText,
    },
    /// The answer to [`Command::Register`]: the agent will register.
    Registering,
    /// The command failed.
    Failed {
        /// The underlying error.
        error: CommandError,
    },
    /// A result that this build does not know.
    #[serde(other)]
    Unknown,
}

/// The reason why a device did not carry out a command, as sent in messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommandError {
    /// The agent does not know the command or this form of it.
    Unsupported {
        /// The name of the Score.
        command: ShortText,
    },
    /// The request is not a command.
    Malformed {
        /// The reason.
        detail: Reason,
    },
    /// The command failed on the device.
    Failed {
        /// What went wrong.
        detail: Reason,
    },
    /// A reason that this build does not know.
    #[serde(other)]
    Other,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { command } => {
                write!(f, "the agent does not support the command `{command}`")
            }
            Self::Malformed { detail } => write!(f, "the agent cannot read the command: {detail}"),
            Self::Failed { detail } => write!(f, "the command failed on the device: {detail}"),
            Self::Other => {
                f.write_str("the command failed for a reason that this program does not know")
            }
        }
    }
}

impl std::error::Error for CommandError {}
