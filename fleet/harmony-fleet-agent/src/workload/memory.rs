//! What the device remembers over restarts.

use std::collections::BTreeMap;

use harmony_reconciler_contracts::{
    Cause, ContentHash, DeploymentName, DesiredDeployment, DesiredState, DeviceId, Reason,
    SchemaVersion,
};
use serde::{Deserialize, Serialize};

/// Everything that the device needs to run its workloads without the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceMemory {
    /// The schema version of the writer.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The device. If the device id has changed, the memory is not used.
    pub device: DeviceId,
    /// What the device should run; none if it was never told.
    #[serde(default)]
    pub desired: Option<DesiredState>,
    /// What happened to the deployments, by name.
    #[serde(default)]
    pub deployments: BTreeMap<DeploymentName, Remembered>,
}

/// What happened to a deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The last content that worked.
    #[serde(default)]
    pub healthy: Option<DesiredDeployment>,
    /// The last content that failed. It is not tried again.
    #[serde(default)]
    pub failed: Option<Failed>,
}

/// A content that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The content.
    pub hash: ContentHash,
    /// Why.
    pub cause: Cause,
    /// The last lines of the container that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<Reason>,
}

impl DeviceMemory {
    /// The memory of a device that was never told anything.
    pub fn new(device: DeviceId) -> Self {
        Self {
            version: SchemaVersion::CURRENT,
            device,
            desired: None,
            deployments: BTreeMap::new(),
        }
    }

    /// Takes over a desired state, unless its generation is lower than the one that is remembered. Returns whether it was
    /// taken over.
    pub fn accept(&mut self, desired: DesiredState) -> bool {
        let known = self.desired.as_ref();
        if known.is_some_and(|known| known.generation >= desired.generation) {
            return false;
        }
        self.desired = Some(desired);
        true
    }

    /// What is wanted of a deployment.
    pub fn wanted(&self, name: &DeploymentName) -> Option<&DesiredDeployment> {
        self.desired.as_ref()?.deployments.get(name)
    }
}
