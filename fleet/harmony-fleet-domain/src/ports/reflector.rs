//! Copying the devices to another system.

use async_trait::async_trait;

use crate::{Cause, FleetDevice};

/// Copies the devices to another system, for example to Kubernetes resources.
///
/// The copy is never the source of truth: if it is deleted, it is recreated; changes to it are overwritten; and devices
/// that are not in the fleet are removed from it.
#[async_trait]
pub trait FleetReflector: Send + Sync {
    /// Makes the copy contain exactly these devices. It is called repeatedly with the complete list, writes only
    /// differences, and limits how often a new heartbeat alone is written. After an error, the next call continues.
    async fn reflect(&self, devices: &[FleetDevice]) -> Result<Reflected, ReflectError>;
}

/// The result of [`FleetReflector::reflect`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reflected {
    /// The number of devices written.
    pub written: usize,
    /// The number of devices removed.
    pub removed: usize,
}

/// The reason why the copy is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum ReflectError {
    /// The resource type is not installed in the other system.
    #[error("the resource type `{resource}` is not installed")]
    NotInstalled {
        /// The name of the resource type.
        resource: String,
    },
    /// The other system does not answer, or refused the operation.
    #[error("cannot {action}")]
    Failed {
        /// The operation, with the name of the object.
        action: String,
        /// The error of the client.
        #[source]
        source: Cause,
    },
}
