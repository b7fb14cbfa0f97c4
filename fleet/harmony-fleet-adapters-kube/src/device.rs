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
    doc = "A device of the fleet, shown by the operator. Changing it changes nothing on the device.",
    printcolumn = r#"{"name":"Presence","type":"string","jsonPath":".status.presence"}"#,
    printcolumn = r#"{"name":"Last heartbeat","type":"date","jsonPath":".status.lastHeartbeat"}"#,
    printcolumn = r#"{"name":"Agent","type":"string","jsonPath":".status.agentVersion"}"#,
    printcolumn = r#"{"name":"Unique","type":"string","jsonPath":".status.conditions[?(@.type==\"Unique\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Hostname","type":"string","jsonPath":".status.hostname","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSpec {
    /// Whose device it is.
    pub tenant: String,
    /// The labels that the device reports. They are labels of the resource too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What the operator knows of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatus {
    /// Whether the device is there.
    pub presence: DevicePresence,
    /// The last sign of life by the operator's clock. Written at a limited rate: up to 15 s late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Time>,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_version: String,
    /// The run of the agent that holds the device's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// Operating system.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Processor architecture.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// Host name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// When this run, or what the device says about itself, was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Time>,
    /// `Ready`: heartbeats come as promised. `Unique`: no second agent claims this name.
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
    /// The operator has just started and has not heard enough.
    #[default]
    Unknown,
}

/// The resource definitions that the operator needs, for whoever installs it.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![Device::crd()]
}
