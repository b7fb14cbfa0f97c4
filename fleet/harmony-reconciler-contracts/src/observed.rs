//! What a device runs: from the device to the operator.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    BootId, ContainerName, ContentHash, DeploymentName, Generation, Reason, SchemaVersion, Text,
};

/// Everything that a device runs. Written under [`crate::subjects::device_key`] when something changes, and never
/// periodically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedState {
    /// The schema version of the sender.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The boot id of the agent.
    pub boot: BootId,
    /// Starts at 1 and increases within a boot.
    pub sequence: u64,
    /// The desired state that this is about; 0 if the device has received none.
    pub generation: Generation,
    /// The deployments by name.
    #[serde(default)]
    pub deployments: BTreeMap<DeploymentName, ObservedDeployment>,
}

/// A deployment on a device, as the device sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedDeployment {
    /// The content that the device should run.
    pub wanted: ContentHash,
    /// The content that it runs; none if it runs nothing of this deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<ContentHash>,
    /// Where it stands.
    pub phase: Phase,
    /// Why it is not running as it should; none if it is, or if it is on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When the phase or the cause last changed, in milliseconds since 1970 on the clock of the device. For information.
    pub since_ms: i64,
    /// The containers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<ContainerName, ObservedContainer>,
}

/// Where a deployment stands on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Images are being pulled. The version before is still running.
    Pulling,
    /// The containers were started, and it is not known yet whether they work.
    Starting,
    /// It runs what it should.
    Running,
    /// The wanted content failed, and the last one that worked runs again. Not tried again until the content changes.
    RolledBack,
    /// It does not run, and trying again will not help until the content or the device changes.
    Failed,
    /// It does not run yet, and the agent tries again.
    Retrying,
    /// A phase that this build does not know.
    #[serde(other)]
    Other,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Retrying => "retrying",
            Self::Other => "other",
        })
    }
}

/// Why a deployment does not run as it should, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of the cause.
    pub reason: FailureReason,
    /// What podman or the system said, in one line.
    pub detail: Reason,
    /// The container that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,
}

/// The kinds of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The registry has no such image.
    ImageMissing,
    /// The registry refuses access to the image.
    ImageDenied,
    /// The registry does not answer, or its certificate is not trusted.
    RegistryUnreachable,
    /// The image is for another processor.
    WrongArchitecture,
    /// The disk of the device is full.
    DiskFull,
    /// The program cannot be started: it does not exist or may not be executed.
    CannotStart,
    /// The container ended right after it was started.
    CrashedAtStart,
    /// The container ended later.
    Crashed,
    /// The container runs, but its health check fails.
    Unhealthy,
    /// Another program uses the port.
    PortTaken,
    /// A folder of the device does not exist.
    FolderMissing,
    /// A podman secret does not exist.
    SecretMissing,
    /// The agent is too old for this kind of deployment.
    AgentTooOld,
    /// Something else on the device has the name of a container.
    NameTaken,
    /// Podman does not answer.
    PodmanUnavailable,
    /// Podman refused for another reason; the detail has its words.
    PodmanRefused,
    /// A reason that this build does not know.
    #[serde(other)]
    Other,
}

impl FailureReason {
    /// In words, for users.
    pub fn words(self) -> &'static str {
        match self {
            Self::ImageMissing => "the image does not exist",
            Self::ImageDenied => "the registry denies access to the image",
            Self::RegistryUnreachable => "the registry cannot be reached",
            Self::WrongArchitecture => "the image is for another processor",
            Self::DiskFull => "the disk of the device is full",
            Self::CannotStart => "the program in the image cannot be started",
            Self::CrashedAtStart => "the container ends right after its start",
            Self::Crashed => "the container ended",
            Self::Unhealthy => "the health check fails",
            Self::PortTaken => "another program uses the port",
            Self::FolderMissing => "a folder of the device does not exist",
            Self::SecretMissing => "a secret does not exist on the device",
            Self::AgentTooOld => "the agent is too old for this deployment",
            Self::NameTaken => "another container has the name",
            Self::PodmanUnavailable => "podman does not answer",
            Self::PodmanRefused => "podman refused",
            Self::Other => "the agent is newer than this program and reports a new reason",
        }
    }
}

/// A container, as podman sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// Whether it runs.
    pub running: bool,
    /// The digest of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text<128>>,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u32,
    /// The exit code of its last run, if it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines of its output, if it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<Reason>,
}
