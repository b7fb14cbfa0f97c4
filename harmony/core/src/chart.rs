//! Packaged charts and deploy targets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use harmony_types::{ChartName, Digest, Namespace, Version};
use serde::Serialize;
use serde_json::Value;

/// A chart as a `.tgz` for Helm. The same content always has the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PackagedChart {
    /// The name in `Chart.yaml`.
    pub name: ChartName,
    /// The version in `Chart.yaml`.
    pub version: Version,
    /// The `Chart.yaml` as JSON, which is the config blob of the OCI manifest.
    pub metadata: Value,
    /// The archive.
    pub archive: Arc<[u8]>,
    /// The digest of the archive.
    pub archive_digest: Digest,
    /// The `created` annotation of the manifest: the time of the commit, in seconds since 1970.
    pub created: i64,
}

impl fmt::Debug for PackagedChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PackagedChart({} {}, {} bytes)",
            self.name,
            self.version,
            self.archive.len()
        )
    }
}

/// The objects of a chart in the form that Flux pulls: a `.tar.gz` with YAML files. The same content always has the same
/// bytes.
///
/// They are rendered with the chart's own values and without a namespace, for controllers that cannot render charts.
#[derive(Clone, PartialEq, Eq)]
pub struct PackagedObjects {
    /// The archive.
    pub archive: Arc<[u8]>,
    /// The `created` annotation of the manifest: the time of the commit, in seconds since 1970.
    pub created: i64,
}

impl fmt::Debug for PackagedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackagedObjects({} bytes)", self.archive.len())
    }
}

/// Objects that a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedObjects {
    /// The digest of their manifest.
    pub digest: Digest,
    /// What was published.
    pub objects: PackagedObjects,
}

/// Where to deploy an app: a stage, and the namespace for this stage in the cluster of the topology.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployTarget {
    /// The stage.
    pub stage: Stage,
    /// The namespace; created if it does not exist.
    pub namespace: Namespace,
    /// Values that override those of the chart, by their dotted path (`nats.url`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
}

/// The purpose of a deploy target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The only target of an app without stages, for example on a laptop or in a test.
    Only,
    /// A release is verified here first.
    Staging,
    /// The release serves its users here.
    Production,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Only => "only",
            Self::Staging => "staging",
            Self::Production => "production",
        })
    }
}

impl DeployTarget {
    /// A target for an app without stages.
    pub fn namespace(namespace: Namespace) -> Self {
        Self::new(Stage::Only, namespace)
    }

    /// A staging target, where releases are verified.
    pub fn staging(namespace: Namespace) -> Self {
        Self::new(Stage::Staging, namespace)
    }

    /// A production target, which serves users.
    pub fn production(namespace: Namespace) -> Self {
        Self::new(Stage::Production, namespace)
    }

    fn new(stage: Stage, namespace: Namespace) -> Self {
        Self {
            stage,
            namespace,
            values: BTreeMap::new(),
        }
    }

    /// Overrides values of the chart.
    #[must_use]
    pub fn with_values(self, values: BTreeMap<String, Value>) -> Self {
        Self { values, ..self }
    }

    /// The namespace for objects of the chart that have none.
    pub fn target_namespace(&self) -> &Namespace {
        &self.namespace
    }
}

/// `staging: namespace hello-staging`
impl fmt::Display for DeployTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Stage::Only => {}
            stage => write!(f, "{stage}: ")?,
        }
        write!(f, "namespace {}", self.namespace)
    }
}
