//! The durable list of devices.

use async_trait::async_trait;
use harmony_reconciler_contracts::DeviceId;

use crate::{Cause, DeviceRecord};

/// Keeps one record for each device, with compare-and-swap.
///
/// The operator of a tenant is the only writer. A second one is not prevented but noticed: its write makes
/// the first one's next write fail with [`RegistryError::Conflict`].
#[async_trait]
pub trait DeviceRegistry: Send + Sync {
    /// All records of the tenant. Prepares the store when it is not there; so an empty list after a loss of
    /// the store is a valid answer. A value that cannot be read is left out: the device will
    /// register again, and then its value is written anew.
    async fn load(&self) -> Result<Vec<(DeviceRecord, Revision)>, RegistryError>;

    /// What is stored for one device at the moment.
    async fn read(&self, device: &DeviceId) -> Result<Slot, RegistryError>;

    /// Writes a record if the store still holds what was expected, and returns the new revision.
    /// Durable when it returns.
    async fn write(
        &self,
        record: &DeviceRecord,
        expected: Expected,
    ) -> Result<Revision, RegistryError>;

    /// Removes what is stored of a device up to this revision, and leaves no trace of it. A newer record stays. Done when
    /// it returns, also when there was nothing.
    async fn remove(&self, device: &DeviceId, up_to: Revision) -> Result<(), RegistryError>;
}

/// The version of a stored record; grows with each write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// What a writer believes is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The value with this revision.
    Revision(Revision),
}

/// What is stored for one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The record; `None` when there is none or it cannot be read.
    pub record: Option<DeviceRecord>,
    /// What a write has to expect.
    pub expected: Expected,
}

/// Why the registry did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Somebody else wrote the record in between. Read it and decide again.
    #[error("the record of device `{device}` was changed by another writer")]
    Conflict {
        /// The device.
        device: DeviceId,
    },
    /// The store does not answer, or refuses.
    #[error("cannot {action} in the device registry `{bucket}`")]
    Unavailable {
        /// What was tried, for example `list the devices`.
        action: &'static str,
        /// Name of the store.
        bucket: String,
        /// What its client said.
        #[source]
        source: Cause,
    },
}
