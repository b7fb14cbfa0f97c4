//! A packaged chart, and where it goes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use harmony_types::{Digest, Namespace, Version};
use serde::Serialize;
use serde_json::Value;

/// A chart as the `.tgz` that Helm reads. The same content always has the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PackagedChart {
    /// The name in its `Chart.yaml`.
    pub name: String,
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

/// Where a chart is delivered to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeployTarget {
    /// One namespace of the topology's cluster.
    InCluster {
        /// Created when it is missing.
        namespace: Namespace,
        /// The values that replace the chart's own, by dotted path (`nats.url`).
        values: BTreeMap<String, Value>,
    },
}

impl DeployTarget {
    /// A namespace of the topology's cluster, with the chart's own values.
    pub fn namespace(namespace: Namespace) -> Self {
        Self::InCluster {
            namespace,
            values: BTreeMap::new(),
        }
    }

    /// The namespace that the chart's objects go to unless they name one.
    pub fn target_namespace(&self) -> &Namespace {
        match self {
            Self::InCluster { namespace, .. } => namespace,
        }
    }
}

impl fmt::Display for DeployTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster { namespace, .. } => write!(f, "namespace {namespace}"),
        }
    }
}
