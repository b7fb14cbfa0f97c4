//! The stores of deployments, desired and observed states, in buckets.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use async_trait::async_trait;
use harmony_fleet_domain::{
    DeploymentStore, DesiredStatePublisher, Expected, ObservedStateConsumer, Revision, StoreError,
    StoredDeployments, StoredValue,
};
use harmony_reconciler_contracts::{
    DeploymentName, DesiredState, DeviceId, ObservedState, StoredDeployment, TenantId, subjects,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::NatsConnection;
use crate::bucket::{Bucket, Stored, read};

/// The deployments of a tenant in the bucket [`subjects::DEPLOYMENTS_BUCKET`].
#[derive(Debug, Clone)]
pub struct NatsDeploymentStore(Bucket);

/// The desired states of a tenant's devices in the bucket [`subjects::DESIRED_BUCKET`], which NATS publishes to the devices.
#[derive(Debug, Clone)]
pub struct NatsDesiredStatePublisher(Bucket);

/// The observed states of a tenant's devices in the bucket [`subjects::OBSERVED_BUCKET`].
#[derive(Debug, Clone)]
pub struct NatsObservedStateConsumer(Bucket);

impl NatsDeploymentStore {
    /// The store of a tenant. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: TenantId) -> Self {
        Self(Bucket::new(
            connection,
            subjects::DEPLOYMENTS_BUCKET,
            tenant,
        ))
    }
}

impl NatsDesiredStatePublisher {
    /// The store of a tenant. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: TenantId) -> Self {
        Self(Bucket::new(connection, subjects::DESIRED_BUCKET, tenant))
    }
}

impl NatsObservedStateConsumer {
    /// The store of a tenant. Sends nothing yet.
    pub fn new(connection: NatsConnection, tenant: TenantId) -> Self {
        Self(Bucket::new(connection, subjects::OBSERVED_BUCKET, tenant))
    }
}

#[async_trait]
impl DeploymentStore for NatsDeploymentStore {
    async fn load(&self) -> Result<StoredDeployments, StoreError> {
        let mut all = StoredDeployments::default();
        for (name, stored) in named::<DeploymentName>(self.0.load().await?) {
            match readable(&name, stored) {
                Some(value) => drop(all.values.insert(name, value)),
                None => drop(all.deleted.insert(name)),
            }
        }
        Ok(all)
    }

    async fn read(
        &self,
        name: &DeploymentName,
    ) -> Result<Option<StoredValue<StoredDeployment>>, StoreError> {
        Ok(self.0.get(name.as_str()).await?.and_then(read))
    }

    async fn write(
        &self,
        deployment: &StoredDeployment,
        expected: Expected,
    ) -> Result<Revision, StoreError> {
        write(&self.0, deployment.name.as_str(), deployment, expected).await
    }

    async fn delete(&self, name: &DeploymentName, expected: Expected) -> Result<(), StoreError> {
        self.0.delete(name.as_str(), expected).await.map(drop)
    }
}

#[async_trait]
impl DesiredStatePublisher for NatsDesiredStatePublisher {
    async fn load(&self) -> Result<BTreeMap<DeviceId, StoredValue<DesiredState>>, StoreError> {
        Ok(values(self.0.load().await?))
    }

    async fn read(
        &self,
        device: &DeviceId,
    ) -> Result<Option<StoredValue<DesiredState>>, StoreError> {
        Ok(self.0.get(device.as_str()).await?.and_then(read))
    }

    async fn write(
        &self,
        device: &DeviceId,
        state: &DesiredState,
        expected: Expected,
    ) -> Result<Revision, StoreError> {
        write(&self.0, device.as_str(), state, expected).await
    }
}

#[async_trait]
impl ObservedStateConsumer for NatsObservedStateConsumer {
    async fn load(&self) -> Result<BTreeMap<DeviceId, StoredValue<ObservedState>>, StoreError> {
        Ok(values(self.0.load().await?))
    }

    async fn read(
        &self,
        device: &DeviceId,
    ) -> Result<Option<StoredValue<ObservedState>>, StoreError> {
        Ok(self.0.get(device.as_str()).await?.and_then(read))
    }
}

async fn write(
    bucket: &Bucket,
    name: &str,
    value: &impl Serialize,
    expected: Expected,
) -> Result<Revision, StoreError> {
    let value =
        serde_json::to_vec(value).map_err(|error| bucket.unavailable("encode a value", error))?;
    bucket.put(name, value, expected).await
}

/// The values under valid names. Deletions are left out.
fn values<N: FromStr + Ord + Display, T: DeserializeOwned>(
    stored: BTreeMap<String, Stored>,
) -> BTreeMap<N, StoredValue<T>> {
    named::<N>(stored)
        .filter_map(|(name, stored)| {
            let value = readable(&name, stored)?;
            Some((name, value))
        })
        .collect()
}

fn named<N: FromStr>(stored: BTreeMap<String, Stored>) -> impl Iterator<Item = (N, Stored)> {
    let parsed = stored.into_iter();
    parsed.filter_map(|(name, stored)| Some((name.parse().ok()?, stored)))
}

fn readable<T: DeserializeOwned>(name: &impl Display, stored: Stored) -> Option<StoredValue<T>> {
    let value = read(stored)?;
    if let Err(problem) = &value.value {
        tracing::warn!(%name, revision = value.revision.0, %problem, "a stored value cannot be read");
    }
    Some(value)
}
