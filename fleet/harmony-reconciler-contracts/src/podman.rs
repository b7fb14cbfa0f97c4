//! Containers on a device.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ContainerName;
use crate::text::excerpt;

/// Containers that podman runs. They are started together, and replaced together.
///
/// Fields that this build does not know are an error, unlike in messages: an agent that ignored a new field would run
/// something other than what was asked for. Fields with their default value are not written, so that an older agent
/// understands everything that does not use newer fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodmanV0 {
    /// The containers, by name.
    pub containers: BTreeMap<ContainerName, Container>,
}

/// One container. Everything that is not set is as restricted as possible: no capabilities, and a root file system that
/// cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The image, by digest.
    pub image: PinnedImage,
    /// Replaces the entrypoint of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Replaces the arguments of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Ports of the device that lead to the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Named volumes and folders of the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Files that travel with the deployment, by absolute path in the container. They cannot be written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Secrets of the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// When the container is started again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: Restart,
    /// Tells whether the container works; without it, a container that runs works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// The user in the container, `<uid>` or `<uid>:<gid>`; that of the image by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Linux capabilities, such as `NET_BIND_SERVICE`. All others are dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether the root file system can be written. `/tmp` always can.
    #[serde(default, skip_serializing_if = "is_default")]
    pub writable_root: bool,
}

impl Container {
    /// A container of this image with the defaults.
    pub fn new(image: PinnedImage) -> Self {
        Self {
            image,
            entrypoint: Vec::new(),
            command: Vec::new(),
            env: BTreeMap::new(),
            ports: Vec::new(),
            volumes: Vec::new(),
            files: BTreeMap::new(),
            secrets: Vec::new(),
            restart: Restart::default(),
            health: None,
            limits: Limits::default(),
            user: None,
            capabilities: Vec::new(),
            writable_root: false,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An image by digest: `registry.example.com/app@sha256:...`. A tag would mean another image on each device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedImage(String);

impl PinnedImage {
    /// The reference.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, digest)| digest)
    }
}

impl FromStr for PinnedImage {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        let refuse = |problem| {
            Err(InvalidImage {
                image: excerpt(text),
                problem,
            })
        };
        let Some((name, digest)) = text.split_once('@') else {
            return refuse("it has no digest: write `<registry>/<image>@sha256:<digest>`");
        };
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return refuse("the digest is not `sha256:` and 64 hexadecimal digits");
        }
        let is_allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':');
        let Some((registry, path)) = name.split_once('/') else {
            return refuse("it has no registry: write `<registry>/<image>@sha256:<digest>`");
        };
        let is_registry = registry == "localhost" || registry.contains(['.', ':']);
        if !is_registry || path.is_empty() || name.len() > 400 || !name.chars().all(is_allowed) {
            return refuse("it is not `<registry>/<image>@sha256:<digest>`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PinnedImage {
    type Error = InvalidImage;

    fn try_from(text: String) -> Result<Self, InvalidImage> {
        text.parse()
    }
}

impl From<PinnedImage> for String {
    fn from(image: PinnedImage) -> Self {
        image.0
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the reference of an image by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidImage {
    image: String,
    problem: &'static str,
}

impl fmt::Display for InvalidImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an image by digest: {}",
            self.image, self.problem
        )
    }
}

impl std::error::Error for InvalidImage {}

/// A port of the device that leads to a port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The port of the device, on all of its addresses.
    pub host: NonZeroU16,
    /// The port in the container.
    pub container: NonZeroU16,
    /// The protocol.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: Protocol,
}

/// The protocol of a [`Port`].
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A volume of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// What is mounted.
    pub source: VolumeSource,
    /// The absolute path in the container.
    pub path: String,
    /// Whether the container cannot write to it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeSource {
    /// A volume of the deployment with this name. It is created if it does not exist, and stays when the deployment is
    /// removed.
    Named(ContainerName),
    /// A folder of the device, which must exist.
    Folder(String),
}

/// A secret that somebody created on the device with `podman secret create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The name of the podman secret.
    pub name: String,
    /// Where the container finds it.
    pub target: SecretTarget,
}

/// Where a container finds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretTarget {
    /// An environment variable.
    Env(String),
    /// A file with this name in `/run/secrets`.
    File(String),
}

/// When a container is started again after it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Always.
    #[default]
    Always,
    /// If its exit code is not 0.
    OnFailure,
    /// Never: it does its job once.
    Never,
}

/// How to find out whether a container works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// A program in the container and its arguments; it works if the exit code is 0.
    pub command: Vec<String>,
    /// The time between two checks, in seconds.
    #[serde(default = "Health::default_interval")]
    pub interval_seconds: u32,
    /// The time that a check may take, in seconds.
    #[serde(default = "Health::default_timeout")]
    pub timeout_seconds: u32,
    /// How many failed checks in a row mean that it does not work.
    #[serde(default = "Health::default_retries")]
    pub retries: u32,
    /// The time after the start in which failed checks do not count, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_seconds: u32,
}

impl Health {
    fn default_interval() -> u32 {
        10
    }

    fn default_timeout() -> u32 {
        5
    }

    fn default_retries() -> u32 {
        3
    }
}

/// What a container may use at most; no limit where nothing is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processor time, in thousandths of a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}
