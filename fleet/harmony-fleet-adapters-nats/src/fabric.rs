//! The buckets of the fleet: creates missing ones, and says what is wrong with the others and with the server.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, Republish, StorageType};
use async_nats::jetstream::{self, ErrorCode};
use harmony_fleet_domain::StoreError;
use harmony_reconciler_contracts::subjects;

use crate::NatsConnection;
use crate::bucket::unavailable;
use crate::decode::OBSERVED_STATE;

/// The buckets of deployments, desired and observed states. All tenants of a server share them.
#[derive(Debug)]
pub struct Fabric {
    connection: NatsConnection,
    jetstream: jetstream::Context,
}

/// The result of [`Fabric::prepare`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What is wrong with the server and with buckets that existed already, one sentence each.
    pub problems: Vec<String>,
    pub deployments: BucketIdentity,
    pub desired: BucketIdentity,
    pub observed: BucketIdentity,
}

/// Tells whether a bucket is the same as before, and whether something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketIdentity {
    /// When it was created.
    pub created: String,
    /// The number of the last write.
    pub last_sequence: u64,
}

impl BucketIdentity {
    /// Returns true if this bucket was created again or restored since `before`.
    pub fn is_another_than(&self, before: &Self) -> bool {
        self.created != before.created || self.last_sequence < before.last_sequence
    }
}

/// The first version of nats-server that can do everything: it lists the subjects of a stream by a filter, and republishes.
const MIN_SERVER: (u64, u64) = (2, 10);

/// Values per key of states. More than one, because a server with sparse single-value buckets blocks writes while it
/// searches for the last value of each key (nats-server issue 7821).
const STATES: i64 = 4;

/// Values per deployment, so that a person can look up earlier ones.
const DEPLOYMENTS: i64 = 16;

impl Fabric {
    /// The buckets on a connection. Sends nothing yet.
    pub fn new(connection: NatsConnection) -> Self {
        let mut jetstream = jetstream::new(connection.client.clone());
        jetstream.set_timeout(connection.request_timeout);
        Self {
            connection,
            jetstream,
        }
    }

    /// Creates the buckets that do not exist, and checks the others and the server. Nothing that exists is changed.
    pub async fn prepare(&self) -> Result<Prepared, StoreError> {
        let mut problems = Vec::new();
        let version = self.connection.client.server_info().version;
        problems.extend(server_problem(&version));
        let mut identities = Vec::new();
        for bucket in [
            subjects::DEPLOYMENTS_BUCKET,
            subjects::DESIRED_BUCKET,
            subjects::OBSERVED_BUCKET,
        ] {
            let wanted = wanted(bucket);
            let info = self.ensure(bucket, &wanted).await?;
            problems.extend(bucket_problems(bucket, &info.config, &wanted));
            identities.push(BucketIdentity {
                created: info.created.to_string(),
                last_sequence: info.state.last_sequence,
            });
        }
        let [deployments, desired, observed] =
            <[BucketIdentity; 3]>::try_from(identities).expect("one for each of three buckets");
        Ok(Prepared {
            problems,
            deployments,
            desired,
            observed,
        })
    }

    async fn ensure(&self, bucket: &'static str, wanted: &Config) -> Result<Info, StoreError> {
        match self.jetstream.get_stream(&wanted.name).await {
            Ok(stream) => return Ok(stream.cached_info().clone()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(e)
                    if e.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
                _ => return Err(unavailable(bucket, "open the bucket", error)),
            },
        }
        tracing::info!(bucket, "creating a bucket");
        let created = self.jetstream.create_stream(wanted.clone()).await;
        created
            .map(|stream| stream.cached_info().clone())
            .map_err(|error| unavailable(bucket, "create the bucket", error))
    }
}

/// The settings of a bucket.
fn wanted(bucket: &str) -> Config {
    let states = Config {
        name: subjects::stream(bucket),
        subjects: vec![subjects::stored(bucket, ">")],
        max_messages_per_subject: STATES,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: 1,
        allow_direct: true,
        deny_delete: true,
        // A message that replaces everything before it could come from any agent.
        allow_rollup: false,
        duplicate_window: Duration::from_secs(120),
        ..Config::default()
    };
    match bucket {
        subjects::DESIRED_BUCKET => {
            let (source, destination) = subjects::republish_desired();
            Config {
                description: Some("what each device should run; written by the operator".into()),
                republish: Some(Republish {
                    source,
                    destination,
                    headers_only: false,
                }),
                ..states
            }
        }
        subjects::OBSERVED_BUCKET => Config {
            description: Some("what each device runs; written by the devices".into()),
            max_message_size: i32::try_from(OBSERVED_STATE).unwrap_or(i32::MAX),
            ..states
        },
        _ => Config {
            description: Some("what users want to run; written by tools".into()),
            max_messages_per_subject: DEPLOYMENTS,
            ..states
        },
    }
}

fn server_problem(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u64>);
    let known = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    };
    let (major, minor) = MIN_SERVER;
    match known {
        Some(known) if known < MIN_SERVER => Some(format!(
            "nats-server {version} is too old: the fleet needs {major}.{minor} or later"
        )),
        _ => None,
    }
}

/// What is wrong with the settings of a bucket. Larger limits and more replicas are fine.
fn bucket_problems(bucket: &str, found: &Config, wanted: &Config) -> Vec<String> {
    let republish = |config: &Config| {
        let it = config.republish.as_ref()?;
        Some((it.source.clone(), it.destination.clone(), it.headers_only))
    };
    let checks = [
        (
            found.subjects == wanted.subjects,
            "it does not store the subjects of its keys".to_owned(),
        ),
        (
            found.allow_direct,
            "devices and tools cannot read it: allow direct access".to_owned(),
        ),
        (
            republish(found) == republish(wanted),
            match &wanted.republish {
                Some(it) => format!(
                    "devices hear of changes only when they ask: republish `{}` to `{}`, not only the headers",
                    it.source, it.destination
                ),
                None => "it is republished, which nobody needs: remove that".to_owned(),
            },
        ),
        (
            found.max_messages_per_subject != 1,
            "it keeps one value per key, which makes the server slow: keep at least 2".to_owned(),
        ),
        (
            found.max_age == Duration::ZERO,
            "its values expire: remove the maximum age".to_owned(),
        ),
        (
            found.storage == StorageType::File,
            "it is lost when the server restarts: store it in files".to_owned(),
        ),
        (
            !found.allow_rollup,
            "an agent can erase it with one message: do not allow roll-ups".to_owned(),
        ),
    ];
    let wrong = checks.into_iter().filter(|(is_right, _)| !is_right);
    wrong
        .map(|(_, problem)| format!("bucket `{bucket}` of NATS: {problem}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_server_is_compared_by_number() {
        for (version, is_old) in [
            ("2.9.25", true),
            ("1.4.1", true),
            ("2.10.0", false),
            ("2.15.2", false),
            ("2.10.0-RC.1", false),
            ("3.0.0", false),
            ("unknown", false),
        ] {
            assert_eq!(server_problem(version).is_some(), is_old, "{version}");
        }
    }

    #[test]
    fn each_wrong_setting_is_named() {
        let wanted = wanted(subjects::DESIRED_BUCKET);
        assert_eq!(
            bucket_problems("desired", &wanted, &wanted),
            Vec::<String>::new()
        );
        let wrong = Config {
            republish: None,
            allow_direct: false,
            max_messages_per_subject: 1,
            max_age: Duration::from_secs(1),
            storage: StorageType::Memory,
            allow_rollup: true,
            ..wanted.clone()
        };
        let problems = bucket_problems("desired", &wrong, &wanted);
        assert_eq!(problems.len(), 6, "{problems:?}");
        assert!(
            problems[1].contains("republish `$KV.desired.*.*` to `fleet.v1."),
            "{problems:?}"
        );
    }
}
