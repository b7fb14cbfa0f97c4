//! The deployments that users write.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use harmony_reconciler_contracts::{DeploymentName, StoredDeployment};

use super::registry::{Expected, Revision};
use super::stored_value::{StoreError, StoredValue};

/// Stores the deployments of a tenant, with compare-and-swap. Tools write them, the operator reads them.
#[async_trait]
pub trait DeploymentStore: Send + Sync {
    /// All deployments.
    async fn load(&self) -> Result<StoredDeployments, StoreError>;

    /// One deployment; `None` if it does not exist.
    async fn read(
        &self,
        name: &DeploymentName,
    ) -> Result<Option<StoredValue<StoredDeployment>>, StoreError>;

    /// Writes a deployment if the store contains what is expected.
    async fn write(
        &self,
        deployment: &StoredDeployment,
        expected: Expected,
    ) -> Result<Revision, StoreError>;

    /// Deletes a deployment if the store contains what is expected, and keeps its name among the deleted ones.
    async fn delete(&self, name: &DeploymentName, expected: Expected) -> Result<(), StoreError>;
}

/// The content of a [`DeploymentStore`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredDeployments {
    /// The deployments by name.
    pub values: BTreeMap<DeploymentName, StoredValue<StoredDeployment>>,
    /// The names of the deleted ones.
    pub deleted: BTreeSet<DeploymentName>,
}
