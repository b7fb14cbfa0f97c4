//! The durable list of devices.

use async_trait::async_trait;
use harmony_reconciler_contracts::DeviceId;

use crate::{Cause, DeviceRecord};

/// Stores one record per device, with compare-and-swap.
///
/// The operator of a tenant is the only writer. A second writer is not prevented but detected: after its write, the
/// next write of the first one fails with [`RegistryError::Conflict`].
#[async_trait]
pub trait DeviceRegistry: Send + Sync {
    /// All records of the tenant. Creates the store if it does not exist, so an empty list after losing the store is a
    /// valid result. Invalid values are left out: the device will register again, which replaces the value.
    async fn load(&self) -> Result<Vec<(DeviceRecord, Revision)>, RegistryError>;

    /// The current record of a device.
    async fn read(&self, device: &DeviceId) -> Result<Slot, RegistryError>;

    /// Writes a record if the store still contains what was expected, and returns the new revision. The write is
    /// durable when this returns.
    async fn write(
        &self,
        record: &DeviceRecord,
        expected: Expected,
    ) -> Result<Revision, RegistryError>;

    /// Deletes the records of a device up to this revision, without a trace. A newer record stays. Succeeds if there is
    /// nothing to delete.
    async fn remove(&self, device: &DeviceId, up_to: Revision) -> Result<(), RegistryError>;
}

/// The revision of a stored record; increases with each write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// What a writer expects to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The value with this revision.
    Revision(Revision),
}

/// The stored record of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The record; `None` if there is none or it is not valid.
    pub record: Option<DeviceRecord>,
    /// What the next write has to expect.
    pub expected: Expected,
}

/// The reason why a registry operation failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another writer changed the record. Read it and decide again.
    #[error("the record of device `{device}` was changed by another writer")]
    Conflict {
        /// The device.
        device: DeviceId,
    },
    /// The store does not answer, or refused the operation.
    #[error("cannot {action} in the device registry `{bucket}`")]
    Unavailable {
        /// The operation, for example `list the devices`.
        action: &'static str,
        /// The name of the store.
        bucket: String,
        /// The error of the client.
        #[source]
        source: Cause,
    },
}
