//! Commands: an operator or a tool asks one device to do something now.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BootId, Reason, SchemaVersion, ShortText};

/// Request on [`crate::subjects::command`]; the subject names the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Answer at once with [`CommandOutcome::Pong`].
    Ping {
        /// Schema of the sender.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
        /// Comes back in the answer.
        #[serde(default)]
        sequence: u32,
    },
    /// Register again: the operator hears heartbeats of a device that its registry does not hold.
    Register {
        /// Schema of the sender.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
    },
    /// Not understood by this build; the agent answers [`CommandError::Unsupported`].
    #[serde(untagged)]
    Unknown(UnknownTag),
}

impl Command {
    /// A ping of this build.
    pub fn ping(sequence: u32) -> Self {
        Self::Ping {
            version: SchemaVersion::CURRENT,
            sequence,
        }
    }

    /// A request to register again of this build.
    pub fn register() -> Self {
        Self::Register {
            version: SchemaVersion::CURRENT,
        }
    }
}

/// The name of a command from a newer peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownTag {
    /// The name as sent.
    pub command: ShortText,
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// Schema of the device.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The run of the agent that answers.
    pub boot: BootId,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: CommandOutcome,
}

/// What came of a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CommandOutcome {
    /// Answer to [`Command::Ping`].
    Pong {
        /// The number of the ping.
        sequence: u32,
        /// Version of the agent.
        #[serde(default)]
        agent_version: ShortText,
    },
    /// Answer to [`Command::Register`]: it will.
    Registering,
    /// The command failed.
    Failed {
        /// Why.
        error: CommandError,
    },
    /// An outcome that this build does not know.
    #[serde(other)]
    Unknown,
}

/// Why a device did not carry out a command, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommandError {
    /// This agent does not know the command, or not in this form.
    Unsupported {
        /// Its name.
        command: ShortText,
    },
    /// The request is not a command at all.
    Malformed {
        /// What is wrong with it.
        detail: Reason,
    },
    /// The command was understood and failed on the device.
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
