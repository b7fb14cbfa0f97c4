//! The minor version of the messages.

use serde::{Deserialize, Serialize};

/// The schema version of the sender of a message. It increases with each added field.
///
/// It is information for debugging, and for future code that needs to know whether a peer understands a field. It never
/// makes a message invalid. A breaking change uses a new subject instead (`fleet.v2...`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(u16);

impl SchemaVersion {
    /// The schema version of this build.
    pub const CURRENT: Self = Self(1);

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl Default for SchemaVersion {
    /// The version of a peer that sends none: the first one.
    fn default() -> Self {
        Self(1)
    }
}
