//! The minor version of the messages.

use serde::{Deserialize, Serialize};

/// The schema that the sender of a message speaks, as a count that grows with each added field.
///
/// It is a hint for people who read traffic and for later code that wants to know whether a peer
/// understands a field; it never makes a message invalid. A breaking change changes the subject
/// (`fleet.v2...`) instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(u16);

impl SchemaVersion {
    /// The schema of this build.
    pub const CURRENT: Self = Self(1);

    /// The bare number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl Default for SchemaVersion {
    /// The version of a peer that names none: the first one.
    fn default() -> Self {
        Self(1)
    }
}
