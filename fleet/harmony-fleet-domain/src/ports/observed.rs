//! What devices run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use harmony_reconciler_contracts::{DeviceId, ObservedState};

use super::stored_value::{StoreError, StoredValue};

/// Reads what devices stored about themselves.
#[async_trait]
pub trait ObservedStateConsumer: Send + Sync {
    /// The observed states of all devices.
    async fn load(&self) -> Result<BTreeMap<DeviceId, StoredValue<ObservedState>>, StoreError>;

    /// The observed state of a device; `None` if it has stored none.
    async fn read(
        &self,
        device: &DeviceId,
    ) -> Result<Option<StoredValue<ObservedState>>, StoreError>;
}
