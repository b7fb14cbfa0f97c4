//! A key-value bucket, without a handle to open and without consumers.
//!
//! Reads are Direct Gets of single keys, and writes are publishes with the expected sequence number, both as plain
//! requests. So a client needs the permission for these subjects, and nothing else of JetStream.

use std::collections::BTreeMap;

use async_nats::{HeaderMap, Message, Request, RequestErrorKind, StatusCode};
use futures_util::{StreamExt, TryStreamExt, stream};
use harmony_fleet_domain::{Cause, Expected, Revision, StoreError, StoredValue, Unreadable};
use harmony_reconciler_contracts::{SchemaVersion, TenantId, subjects};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::NatsConnection;

/// The number of concurrent reads of a whole bucket.
const PARALLEL_READS: usize = 64;

/// The error codes of JetStream for an unexpected last sequence number of a subject.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];

const KV_OPERATION: &str = "KV-Operation";

/// The part of a bucket that belongs to a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    connection: NatsConnection,
    name: &'static str,
    tenant: TenantId,
}

/// The last value of a key.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    /// `None` if the key was deleted.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl Bucket {
    pub(crate) fn new(connection: NatsConnection, name: &'static str, tenant: TenantId) -> Self {
        Self {
            connection,
            name,
            tenant,
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", subjects::registry_key_prefix(&self.tenant))
    }

    /// The last value under this name, even if it is a deletion.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let subject = subjects::direct_get(self.name, &self.key(name));
        let answer = self.ask("read a value", subject, Request::new()).await?;
        stored(&answer).map_err(|source| self.unavailable("read a value", source))
    }

    /// Writes a value if the bucket contains what is expected.
    pub(crate) async fn put(
        &self,
        name: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Revision, StoreError> {
        self.write(name, value, expected, HeaderMap::new()).await
    }

    /// Marks a name as deleted if the bucket contains what is expected.
    pub(crate) async fn delete(
        &self,
        name: &str,
        expected: Expected,
    ) -> Result<Revision, StoreError> {
        let mut headers = HeaderMap::new();
        headers.insert(KV_OPERATION, "DEL");
        self.write(name, Vec::new(), expected, headers).await
    }

    async fn write(
        &self,
        name: &str,
        value: Vec<u8>,
        expected: Expected,
        headers: HeaderMap,
    ) -> Result<Revision, StoreError> {
        match self
            .write_after(name, value.clone(), expected, headers.clone())
            .await
        {
            // A deleted key is absent, but its deletion has a revision.
            Err(StoreError::Conflict { key }) if expected == Expected::Absent => {
                match self.get(name).await? {
                    Some(Stored {
                        revision,
                        bytes: None,
                    }) => {
                        self.write_after(name, value, Expected::Revision(revision), headers)
                            .await
                    }
                    _ => Err(StoreError::Conflict { key }),
                }
            }
            written => written,
        }
    }

    async fn write_after(
        &self,
        name: &str,
        value: Vec<u8>,
        expected: Expected,
        mut headers: HeaderMap,
    ) -> Result<Revision, StoreError> {
        const ACTION: &str = "write a value";
        let sequence = match expected {
            Expected::Absent => 0,
            Expected::Revision(Revision(sequence)) => sequence,
        };
        headers.insert(
            async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            sequence.to_string(),
        );
        let request = Request::new().payload(value.into()).headers(headers);
        let key = self.key(name);
        let subject = subjects::stored(self.name, &key);
        let answer = self.ask(ACTION, subject, request).await?;
        let written: Written = serde_json::from_slice(&answer.payload)
            .map_err(|error| self.unavailable(ACTION, error))?;
        // An error comes with the sequence number 0.
        match (written.error, written.seq) {
            (None, Some(sequence)) => Ok(Revision(sequence)),
            (Some(error), _) if WRONG_LAST_SEQUENCE.contains(&error.err_code) => {
                Err(StoreError::Conflict { key })
            }
            (error, _) => {
                let words = error.map_or_else(|| "no acknowledgement".into(), |it| it.description);
                Err(self.unavailable(ACTION, words))
            }
        }
    }

    /// The last values of all names of the tenant, including deletions.
    pub(crate) async fn load(&self) -> Result<BTreeMap<String, Stored>, StoreError> {
        let names = self.names().await?;
        let values: Vec<Option<(String, Stored)>> = stream::iter(names)
            .map(|name| async move {
                let value = self.get(&name).await?;
                Ok(value.map(|value| (name, value)))
            })
            .buffer_unordered(PARALLEL_READS)
            .try_collect()
            .await?;
        Ok(values.into_iter().flatten().collect())
    }

    async fn names(&self) -> Result<Vec<String>, StoreError> {
        const ACTION: &str = "list the keys";
        let filter = subjects::stored(self.name, &subjects::keys_of(&self.tenant));
        let mut names = Vec::new();
        loop {
            let request = serde_json::json!({ "subjects_filter": filter, "offset": names.len() });
            let request = Request::new().payload(request.to_string().into());
            let subject = subjects::list_keys(self.name);
            let answer = self.ask(ACTION, subject, request).await?;
            let page: Listed = serde_json::from_slice(&answer.payload)
                .map_err(|error| self.unavailable(ACTION, error))?;
            if let Some(error) = page.error {
                return Err(match error.err_code {
                    STREAM_NOT_FOUND => self.missing(),
                    _ => self.unavailable(ACTION, error.description),
                });
            }
            let found = page.state.unwrap_or_default().subjects.unwrap_or_default();
            let before = names.len();
            names.extend(found.keys().filter_map(|subject| {
                subjects::stored_name(subject, self.name, &self.tenant).map(str::to_owned)
            }));
            if names.len() == before || names.len() as u64 >= page.total {
                return Ok(names);
            }
        }
    }

    async fn ask(
        &self,
        action: &'static str,
        subject: String,
        request: Request,
    ) -> Result<Message, StoreError> {
        let request = request.timeout(Some(self.connection.request_timeout));
        let answer = self.connection.client.send_request(subject, request).await;
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => self.missing(),
            _ => self.unavailable(action, error),
        })
    }

    fn missing(&self) -> StoreError {
        StoreError::Missing {
            bucket: self.name.to_owned(),
        }
    }

    pub(crate) fn unavailable(&self, action: &'static str, source: impl Into<Cause>) -> StoreError {
        unavailable(self.name, action, source)
    }
}

pub(crate) fn unavailable(
    bucket: &str,
    action: &'static str,
    source: impl Into<Cause>,
) -> StoreError {
    StoreError::Unavailable {
        action,
        bucket: bucket.to_owned(),
        source: source.into(),
    }
}

const STREAM_NOT_FOUND: u64 = 10059;

#[derive(Deserialize)]
struct Written {
    seq: Option<u64>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Listed {
    state: Option<ListedState>,
    #[serde(default)]
    total: u64,
    error: Option<ApiError>,
}

#[derive(Default, Deserialize)]
struct ListedState {
    subjects: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The value in an answer to a Direct Get.
pub(crate) fn stored(answer: &Message) -> Result<Option<Stored>, Cause> {
    match answer.status {
        None | Some(StatusCode::OK) => {}
        Some(StatusCode::NOT_FOUND) => return Ok(None),
        Some(status) => {
            let words = answer.description.as_ref().map_or("", |text| text.as_str());
            return Err(format!("the server answered {status} {words}").into());
        }
    }
    let header = |name: &str| {
        let headers = answer.headers.as_ref()?;
        headers.get(name).map(|value| value.as_str().to_owned())
    };
    let sequence = header("Nats-Sequence").and_then(|text| text.parse().ok());
    let sequence = sequence.ok_or("the answer has no sequence number")?;
    let is_value = header(KV_OPERATION).is_none_or(|operation| operation == "PUT");
    Ok(Some(Stored {
        revision: Revision(sequence),
        bytes: is_value.then(|| answer.payload.to_vec()),
    }))
}

/// Decodes a value; `None` if it was deleted.
pub(crate) fn read<T: DeserializeOwned>(stored: Stored) -> Option<StoredValue<T>> {
    #[derive(Deserialize)]
    struct Peek {
        #[serde(rename = "v", default)]
        version: SchemaVersion,
    }
    let bytes = stored.bytes?;
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        let problem = harmony_reconciler_contracts::Reason::from(error.to_string()).to_string();
        match serde_json::from_slice::<Peek>(&bytes) {
            Ok(peek) if peek.version > SchemaVersion::CURRENT => Unreadable::Newer { problem },
            _ => Unreadable::Damaged { problem },
        }
    });
    Some(StoredValue {
        revision: stored.revision,
        value,
    })
}
