//! A packaged chart, and where it goes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use harmony_types::{ChartName, Digest, Namespace, Version};
use serde::Serialize;
use serde_json::Value;

/// A chart as the `.tgz` that Helm reads. The same content always has the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PackagedChart {
    /// The name in its `Chart.yaml`.
    pub name: ChartName,
    /// The version in its `Chart.yaml`.
    pub version: Version,
    /// The `Chart.yaml` as JSON: the config blob of its OCI manifest.
    pub metadata: Value,
    /// The archive.
    pub archive: Arc<[u8]>,
    /// The digest of the archive.
    pub archive_digest: Digest,
    /// What the manifest's `created` annotation says: the time of the commit, in seconds since 1970.
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

/// Where an app is deployed to: a stage, and the namespace of the topology's cluster that is this stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployTarget {
    /// What it is for.
    pub stage: Stage,
    /// Created when it is missing.
    pub namespace: Namespace,
    /// The values that replace the chart's own, by dotted path (`nats.url`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
}

/// What a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The one place where the app runs: a laptop, a test, an app without stages.
    Only,
    /// Where a release proves itself first.
    Staging,
    /// Where it serves its users.
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
    /// A namespace of the topology's cluster, for an app without stages.
    pub fn namespace(namespace: Namespace) -> Self {
        Self::new(Stage::Only, namespace)
    }

    /// The namespace of the topology's cluster where releases prove themselves.
    pub fn staging(namespace: Namespace) -> Self {
        Self::new(Stage::Staging, namespace)
    }

    /// The namespace of the topology's cluster that serves users.
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

    /// With values in place of the chart's own.
    #[must_use]
    pub fn with_values(self, values: BTreeMap<String, Value>) -> Self {
        Self { values, ..self }
    }

    /// The namespace that the chart's objects go to unless they name one.
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
