//! A deployment: which containers run on which devices.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{DeploymentName, DeviceId, Labels, ReconcileScore, SchemaVersion};

/// A deployment as users write it, stored under [`crate::subjects::deployment_key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDeployment {
    /// The schema version of the writer.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// Its name.
    pub name: DeploymentName,
    /// The devices that it is for.
    pub target: Target,
    /// What they run.
    pub score: ReconcileScore,
}

/// Which devices a deployment is for. A device must match all that is set; an empty target matches no device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The ids of devices.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<DeviceId>,
    /// The labels that a device must have, with these values.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// All devices of the tenant. The other fields must be empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}
