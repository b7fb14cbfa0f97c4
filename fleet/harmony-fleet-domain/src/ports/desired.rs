//! Telling devices what to run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use harmony_reconciler_contracts::{DesiredState, DeviceId};

use super::registry::{Expected, Revision};
use super::stored_value::{StoreError, StoredValue};

/// Stores the desired state of each device, with compare-and-swap, and publishes it to the device. The operator writes
/// it; two operators do not disturb each other, because each write expects what its decision was made from.
#[async_trait]
pub trait DesiredStatePublisher: Send + Sync {
    /// The desired states of all devices.
    async fn load(&self) -> Result<BTreeMap<DeviceId, StoredValue<DesiredState>>, StoreError>;

    /// The desired state of a device; `None` if it was never told anything.
    async fn read(
        &self,
        device: &DeviceId,
    ) -> Result<Option<StoredValue<DesiredState>>, StoreError>;

    /// Writes the desired state of a device if the store contains what is expected.
    async fn write(
        &self,
        device: &DeviceId,
        state: &DesiredState,
        expected: Expected,
    ) -> Result<Revision, StoreError>;
}
