//! Registration: a device tells the operator that it exists and what it is.

use serde::{Deserialize, Serialize};

use crate::{BootId, HeartbeatInterval, Labels, Reason, SchemaVersion, ShortText};

/// Request on [`crate::subjects::register`]; the subject names the device.
///
/// A device registers when it starts, when what it reports here changed, and when the operator asks
/// it to. Registering twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Schema of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// This run of the agent.
    pub boot: BootId,
    /// The run that this device registered last, from its state folder: it proves that the newcomer is
    /// the old device after a restart, and not a second one with the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_boot: Option<BootId>,
    /// How often heartbeats will come.
    pub heartbeat_seconds: HeartbeatInterval,
    /// What the device is.
    pub info: DeviceInfo,
}

/// What a device says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Version of the agent, for example `0.1.0`.
    #[serde(default)]
    pub agent_version: ShortText,
    /// Operating system, for example `linux`.
    #[serde(default)]
    pub os: ShortText,
    /// Processor architecture in Rust's spelling, for example `x86_64`.
    #[serde(default)]
    pub arch: ShortText,
    /// Host name, for people.
    #[serde(default)]
    pub hostname: ShortText,
    /// Labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// The operator's answer to a [`Registration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RegistrationReply {
    /// The device is in the registry: start sending heartbeats.
    Accepted {
        /// Schema of the operator.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
    },
    /// It is not: try again later. A refusal is never final, because its cause may go away.
    Refused {
        /// Schema of the operator.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
        /// Why, for programs.
        reason: RefusalReason,
        /// Why, for people.
        detail: Reason,
        /// When to ask again, in seconds; the device adds its own jitter.
        retry_after_seconds: u32,
    },
}

impl RegistrationReply {
    /// The positive answer of this build.
    pub fn accepted() -> Self {
        Self::Accepted {
            version: SchemaVersion::CURRENT,
        }
    }

    /// A refusal of this build.
    pub fn refused(
        reason: RefusalReason,
        detail: impl Into<Reason>,
        retry_after_seconds: u32,
    ) -> Self {
        Self::Refused {
            version: SchemaVersion::CURRENT,
            reason,
            detail: detail.into(),
            retry_after_seconds,
        }
    }
}

/// Why a registration was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Another running agent holds this device id.
    DuplicateIdentity,
    /// The operator could not read the request.
    Malformed,
    /// The operator cannot reach its registry at the moment.
    RegistryUnavailable,
    /// The registry holds as many devices as it may, or too many new ones ask at once.
    TooManyDevices,
    /// A reason that this build does not know.
    #[serde(other)]
    Other,
}
