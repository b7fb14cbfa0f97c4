//! The device registry in a NATS key-value bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::kv::{
    Config, CreateErrorKind, Entry, Operation, Store, UpdateErrorKind,
};
use async_nats::jetstream::{self, ErrorCode};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use harmony_fleet_domain::{
    Cause, DeviceRecord, DeviceRegistry, Expected, RegistryError, Revision, Slot,
};
use harmony_reconciler_contracts::{DeviceId, StoredDevice, TenantId, subjects};

use crate::NatsConnection;

/// The registry in the bucket [`subjects::REGISTRY_BUCKET`]: one key per device, written with compare-and-swap on the
/// revision of the key. Creates the bucket if it does not exist; the configuration of an existing bucket (replicas,
/// placement) is not changed.
#[derive(Debug)]
pub struct NatsDeviceRegistry {
    jetstream: jetstream::Context,
    tenant: TenantId,
    /// The open bucket. A handle contains only names, so it remains valid when the bucket is deleted and created again.
    store: Mutex<Option<Store>>,
}

/// The number of values stored per key. More than one, because a server with sparse single-value buckets blocks writes
/// while it searches for the last value of each key (nats-server issue 7821).
const HISTORY: i64 = 4;

/// The number of concurrent reads of the whole bucket.
const PARALLEL_READS: usize = 64;

/// The time limit for reading the whole bucket.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

impl NatsDeviceRegistry {
    /// The registry of a tenant. Sends nothing yet.
    pub fn new(connection: &NatsConnection, tenant: TenantId) -> Self {
        let mut jetstream = jetstream::new(connection.client.clone());
        jetstream.set_timeout(connection.request_timeout);
        Self {
            jetstream,
            tenant,
            store: Mutex::new(None),
        }
    }

    /// The bucket; created if it does not exist.
    async fn ensure_store(&self) -> Result<Store, RegistryError> {
        let bucket = subjects::REGISTRY_BUCKET;
        // `get_key_value` does not distinguish a missing bucket from an unreachable one, so the stream is queried.
        let exists = match self.jetstream.get_stream(format!("KV_{bucket}")).await {
            Ok(_) => true,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(e)
                    if e.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    false
                }
                _ => return Err(unavailable("open the bucket", error)),
            },
        };
        let store = if exists {
            self.jetstream
                .get_key_value(bucket)
                .await
                .map_err(|e| unavailable("open the bucket", e))?
        } else {
            tracing::info!(bucket, "creating the bucket of the device registry");
            self.jetstream
                .create_key_value(Config {
                    bucket: bucket.to_owned(),
                    description: "devices of the fleet; written by the operator only".to_owned(),
                    history: HISTORY,
                    num_replicas: 1,
                    ..Config::default()
                })
                .await
                .map_err(|e| unavailable("create the bucket", e))?
        };
        *self.cached() = Some(store.clone());
        Ok(store)
    }

    async fn store(&self) -> Result<Store, RegistryError> {
        let cached = self.cached().clone();
        match cached {
            Some(store) => Ok(store),
            None => self.ensure_store().await,
        }
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Option<Store>> {
        // Only complete values are assigned, so a panic elsewhere cannot have left an invalid one.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_all(&self) -> Result<Vec<(DeviceRecord, Revision)>, RegistryError> {
        let store = self.ensure_store().await?;
        // The server lists the subjects of the stream. Listing with the client's `keys` would create a consumer, which
        // the server keeps for 30 s after its use.
        let prefix = format!("$KV.{}.", subjects::REGISTRY_BUCKET);
        let devices = format!("{prefix}{}>", subjects::registry_key_prefix(&self.tenant));
        let keys: Vec<String> = store
            .stream
            .info_with_subjects(devices)
            .await
            .map_err(|e| unavailable("list the devices", e))?
            .map_ok(|(subject, _)| subject.replacen(&prefix, "", 1))
            .try_collect()
            .await
            .map_err(|e| unavailable("list the devices", e))?;
        let entries: Vec<Option<Entry>> = futures_util::stream::iter(keys)
            .map(|key| {
                let store = &store;
                async move { store.entry(key).await }
            })
            .buffer_unordered(PARALLEL_READS)
            .try_collect()
            .await
            .map_err(|e| unavailable("read the devices", e))?;
        Ok(entries
            .into_iter()
            .flatten()
            .filter_map(|entry| Some((readable(&entry)?, Revision(entry.revision))))
            .collect())
    }
}

#[async_trait]
impl DeviceRegistry for NatsDeviceRegistry {
    async fn load(&self) -> Result<Vec<(DeviceRecord, Revision)>, RegistryError> {
        tokio::time::timeout(LOAD_TIMEOUT, self.read_all())
            .await
            .unwrap_or_else(|elapsed| Err(unavailable("list the devices", elapsed)))
    }

    async fn read(&self, device: &DeviceId) -> Result<Slot, RegistryError> {
        let entry = self
            .store()
            .await?
            .entry(subjects::device_key(&self.tenant, device))
            .await
            .map_err(|e| unavailable("read a device", e))?;
        Ok(match entry {
            Some(entry) => Slot {
                record: readable(&entry),
                expected: Expected::Revision(Revision(entry.revision)),
            },
            None => Slot {
                record: None,
                expected: Expected::Absent,
            },
        })
    }

    async fn write(
        &self,
        record: &DeviceRecord,
        expected: Expected,
    ) -> Result<Revision, RegistryError> {
        let conflict = || RegistryError::Conflict {
            device: record.id.clone(),
        };
        let value = serde_json::to_vec(&StoredDevice::from(record))
            .map_err(|e| unavailable("encode a device", e))?;
        let key = subjects::device_key(&self.tenant, &record.id);
        let store = self.store().await?;
        let written = match expected {
            Expected::Absent => store
                .create(key, value.into())
                .await
                .map_err(|e| match e.kind() {
                    CreateErrorKind::AlreadyExists => conflict(),
                    _ => unavailable("write a device", e),
                }),
            Expected::Revision(Revision(revision)) => store
                .update(key, value.into(), revision)
                .await
                .map_err(|e| match e.kind() {
                    UpdateErrorKind::WrongLastRevision => conflict(),
                    _ => unavailable("write a device", e),
                }),
        };
        if matches!(written, Err(RegistryError::Unavailable { .. })) {
            // The bucket may have been deleted; the next call checks and creates it again.
            *self.cached() = None;
        }
        written.map(Revision)
    }

    async fn remove(
        &self,
        device: &DeviceId,
        Revision(up_to): Revision,
    ) -> Result<(), RegistryError> {
        let store = self.store().await?;
        let key = subjects::device_key(&self.tenant, device);
        // A delete by the key-value store would leave a marker for each name that ever was. A purge of the stream up to
        // a sequence number removes the values themselves, and cannot remove one that is written meanwhile.
        let purged = store
            .stream
            .purge()
            .sequence(up_to.saturating_add(1))
            .filter(format!("{}{key}", store.prefix))
            .await;
        purged
            .map(drop)
            .map_err(|e| unavailable("remove a device", e))
    }
}

fn readable(entry: &Entry) -> Option<DeviceRecord> {
    if entry.operation != Operation::Put {
        return None;
    }
    match serde_json::from_slice::<StoredDevice>(&entry.value) {
        Ok(stored) => Some(stored.into()),
        Err(error) => {
            tracing::warn!(
                key = entry.key, revision = entry.revision, %error,
                "ignoring an invalid value in the device registry; the device will register again"
            );
            None
        }
    }
}

fn unavailable(action: &'static str, source: impl Into<Cause>) -> RegistryError {
    RegistryError::Unavailable {
        action,
        bucket: subjects::REGISTRY_BUCKET.to_owned(),
        source: source.into(),
    }
}
