//! Showing the devices somewhere else.

use async_trait::async_trait;

use crate::{Cause, FleetDevice};

/// Shows the devices in another system, for example as Kubernetes resources.
///
/// The reflection is never the source of truth: whoever deletes it gets it back, whoever edits it is
/// overwritten, and devices that the fleet does not have are removed from it.
#[async_trait]
pub trait FleetReflector: Send + Sync {
    /// Makes the reflection show exactly these devices. Called over and over with the whole list; it writes
    /// only what differs and limits how often a mere new heartbeat is written. After an error,
    /// the next call continues.
    async fn reflect(&self, devices: &[FleetDevice]) -> Result<Reflected, ReflectError>;
}

/// What a call of [`FleetReflector::reflect`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reflected {
    /// Devices written.
    pub written: usize,
    /// Devices removed.
    pub removed: usize,
}

/// Why the reflection is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum ReflectError {
    /// The other system does not know what a device is.
    #[error("the resource type `{resource}` is not installed")]
    NotInstalled {
        /// Name of the type.
        resource: String,
    },
    /// The other system does not answer, or refuses.
    #[error("cannot {action}")]
    Failed {
        /// What was tried, with the object's name.
        action: String,
        /// What its client said.
        #[source]
        source: Cause,
    },
}
