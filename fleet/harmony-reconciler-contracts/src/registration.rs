//! Registration: a device tells the operator that it exists, and its properties.

use serde::{Deserialize, Serialize};

use crate::{BootId, HeartbeatInterval, Labels, Reason, SchemaVersion, ShortText};

/// A request on [`crate::subjects::register`]; the subject contains the device id.
///
/// A device registers when it starts, when the content of its registration changes, and when the operator asks for it.
/// Registering again without a change has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The schema version of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The boot id of this run of the agent.
    pub boot: BootId,
    /// The boot id of the last registration, from the state directory of the device. It proves that the agent is the
    /// same device after a restart, and not another device with the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_boot: Option<BootId>,
    /// The time between two heartbeats.
    pub heartbeat_seconds: HeartbeatInterval,
    /// The properties of the device.
    pub info: DeviceInfo,
}

/// What a device reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// The version of the agent, for example `0.1.0`.
    #[serde(default)]
    pub agent_version: ShortText,
    /// The operating system, for example `linux`.
    #[serde(default)]
    pub os: ShortText,
    /// The processor architecture as named by Rust, for example `x86_64`.
    #[serde(default)]
    pub arch: ShortText,
    /// The host name, for information.
    #[serde(default)]
    pub hostname: ShortText,
    /// The labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// The operator's reply to a [`Registration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RegistrationReply {
    /// The device is in the registry and can start sending heartbeats.
    Accepted {
        /// The schema version of the operator.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
    },
    /// The device is not in the registry and should try again later. A refusal is never final, because its cause may
    /// disappear.
    Refused {
        /// The schema version of the operator.
        #[serde(rename = "v", default)]
        version: SchemaVersion,
        /// The reason, for programs.
        reason: RefusalReason,
        /// The reason, for users.
        detail: Reason,
        /// When to try again, in seconds. The device adds its own jitter.
        retry_after_seconds: u32,
    },
}

impl RegistrationReply {
    /// A positive reply with the schema version of this build.
    pub fn accepted() -> Self {
        Self::Accepted {
            version: SchemaVersion::CURRENT,
        }
    }

    /// A refusal with the schema version of this build.
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

/// The reason for a refused registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Another running agent uses this device id.
    DuplicateIdentity,
    /// The operator could not parse the request.
    Malformed,
    /// The operator currently cannot reach its registry.
    RegistryUnavailable,
    /// The registry is full, or too many new devices register at the same time.
    TooManyDevices,
    /// A reason that this build does not know.
    #[serde(other)]
    Other,
}
