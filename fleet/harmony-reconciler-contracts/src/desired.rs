//! What a device should run: from the operator to the device.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::excerpt;
use crate::{DeploymentName, ReconcileScore, SchemaVersion};

/// Everything that a device should run. Stored under [`crate::subjects::device_key`], and published on
/// [`crate::subjects::desired`] with each change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DesiredState {
    /// The schema version of the writer.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// Increases with each change. A device ignores a lower generation than the one that it has.
    pub generation: Generation,
    /// The deployments by name. Whatever is not in it is removed from the device.
    #[serde(default)]
    pub deployments: BTreeMap<DeploymentName, DesiredDeployment>,
}

/// A deployment on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesiredDeployment {
    /// Identifies the content. The operator computes it; two equal hashes mean the same content.
    pub hash: ContentHash,
    /// What to run.
    pub score: ReconcileScore,
}

/// The number of a desired state, counted per device.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies the content of a deployment: 16 to 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(String);

impl ContentHash {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContentHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let is_hex = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && (16..=64).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(InvalidHash(excerpt(&text)))
        }
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a [`ContentHash`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHash(String);

impl fmt::Display for InvalidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not 16 to 64 hexadecimal digits", self.0)
    }
}

impl std::error::Error for InvalidHash {}
