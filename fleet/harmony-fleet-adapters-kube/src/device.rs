//! The `Device` resource.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A device of the fleet, shown by the operator. Changing it changes nothing on the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fleet.harmony.io",
    version = "v1alpha1",
    kind = "Device",
    plural = "devices",
    shortname = "dev",
    category = "fleet",
    namespaced,
    status = "DeviceStatus",
    derive = "PartialEq",
    doc = "A device of the fleet, written by the operator. Changes to it have no effect on the device.",
    printcolumn = r#"{"name":"Presence","type":"string","jsonPath":".status.presence"}"#,
    printcolumn = r#"{"name":"Last heartbeat","type":"date","jsonPath":".status.lastHeartbeat"}"#,
    printcolumn = r#"{"name":"Agent","type":"string","jsonPath":".status.agentVersion"}"#,
    printcolumn = r#"{"name":"Unique","type":"string","jsonPath":".status.conditions[?(@.type==\"Unique\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Hostname","type":"string","jsonPath":".status.hostname","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSpec {
    /// The tenant of the device.
    pub tenant: String,
    /// The labels reported by the device. The resource has them as labels too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The operator's information about a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatus {
    /// Whether the device is online.
    pub presence: DevicePresence,
    /// When the device was last heard, on the operator's clock. Written at a limited rate: up to 15 s late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Time>,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_version: String,
    /// The boot id of the agent that holds the device id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub os: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// When this boot, or the current properties of the device, were registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Time>,
    /// `Ready`: heartbeats arrive on time. `Unique`: no other agent uses this device id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Whether a device is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DevicePresence {
    /// Heartbeats come as promised.
    Online,
    /// Some are late.
    Stale,
    /// Gone, by its own word or by long silence.
    Offline,
    /// The operator has just started and has not heard enough yet.
    #[default]
    Unknown,
}

/// The custom resource definitions that the operator needs, for its installation.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![Device::crd()]
}
