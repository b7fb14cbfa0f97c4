//! Decides which resources to write and which to delete: a pure function of the fleet and of the resources in the
//! cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harmony_fleet_domain::{FleetDevice, Presence};
use harmony_reconciler_contracts::TenantId;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use crate::device::{Device, DevicePresence, DeviceSpec, DeviceStatus};

/// A new heartbeat alone is written at most this often for each device, so that the store of the cluster does not
/// become the bottleneck of the fleet. All other changes are written immediately.
pub const HEARTBEAT_WRITE_INTERVAL: Duration = Duration::from_secs(15);

/// The label with the creator of a resource; its value is [`MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The name of the operator in labels and as a field manager.
pub const MANAGER: &str = "harmony-fleet-operator";

/// A write to the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Apply the resource and its status.
    Apply(Box<Device>),
    /// Apply only the status.
    Status(Box<Device>),
    /// Delete the resource with this name.
    Remove(String),
}

/// The writes after which `observed` matches `devices`, at most one per device. `now` is the time of transitions.
///
/// Only resources of the tenant are changed. A resource of another tenant with the name of one of our devices is not
/// changed, so two tenants should use two namespaces.
pub fn plan<'a>(
    devices: &[FleetDevice],
    observed: impl IntoIterator<Item = &'a Device>,
    tenant: &TenantId,
    now: Timestamp,
) -> Vec<Write> {
    let observed: BTreeMap<String, &Device> = observed
        .into_iter()
        .map(|device| (device.name_any(), device))
        .collect();
    let mut writes = Vec::new();
    let mut wanted = BTreeSet::new();
    for device in devices {
        let name = device.record.id.as_str();
        wanted.insert(name);
        writes.extend(write_for(device, observed.get(name).copied(), tenant, now));
    }
    writes.extend(
        observed
            .iter()
            .filter(|(name, device)| is_ours(device, tenant) && !wanted.contains(name.as_str()))
            .map(|(name, _)| Write::Remove(name.clone())),
    );
    writes
}

fn write_for(
    device: &FleetDevice,
    observed: Option<&Device>,
    tenant: &TenantId,
    now: Timestamp,
) -> Option<Write> {
    let Some(observed) = observed else {
        return Some(Write::Apply(Box::new(resource(device, None, tenant, now))));
    };
    if !is_ours(observed, tenant) {
        return None;
    }
    let desired = resource(device, observed.status.as_ref(), tenant, now);
    let labels_show = desired
        .labels()
        .iter()
        .all(|(key, value)| observed.labels().get(key) == Some(value));
    if desired.spec != observed.spec || !labels_show {
        return Some(Write::Apply(Box::new(desired)));
    }
    let worth_writing = match (&desired.status, &observed.status) {
        (Some(desired), Some(observed)) => {
            without_heartbeat(desired) != without_heartbeat(observed)
                || heartbeat_is_due(desired, observed)
        }
        (desired, observed) => desired != observed,
    };
    worth_writing.then(|| Write::Status(Box::new(desired)))
}

fn is_ours(device: &Device, tenant: &TenantId) -> bool {
    device.spec.tenant == tenant.as_str()
}

fn without_heartbeat(status: &DeviceStatus) -> DeviceStatus {
    DeviceStatus {
        last_heartbeat: None,
        ..status.clone()
    }
}

fn heartbeat_is_due(desired: &DeviceStatus, observed: &DeviceStatus) -> bool {
    match (&desired.last_heartbeat, &observed.last_heartbeat) {
        (Some(desired), Some(observed)) => {
            desired.0.duration_since(observed.0).unsigned_abs() >= HEARTBEAT_WRITE_INTERVAL
        }
        (desired, observed) => desired != observed,
    }
}

/// The resource of a device. What the operator does not know yet after its start is copied from the cluster.
fn resource(
    device: &FleetDevice,
    observed: Option<&DeviceStatus>,
    tenant: &TenantId,
    now: Timestamp,
) -> Device {
    let info = &device.record.info;
    let labels: BTreeMap<String, String> = info
        .labels
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let spec = DeviceSpec {
        tenant: tenant.to_string(),
        labels: labels.clone(),
    };
    let mut resource = Device::new(device.record.id.as_str(), spec);
    let managed_by = (MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    // Labels of a device have no prefix, so they cannot override this one.
    resource.metadata.labels = Some(labels.into_iter().chain([managed_by]).collect());
    resource.status = Some(DeviceStatus {
        presence: match device.presence {
            Some(Presence::Online) => DevicePresence::Online,
            Some(Presence::Stale) => DevicePresence::Stale,
            Some(Presence::Offline) => DevicePresence::Offline,
            None => observed.map_or(DevicePresence::Unknown, |status| status.presence),
        },
        last_heartbeat: device
            .last_seen
            .map(|seen| Time(whole_seconds(seen.at)))
            .or_else(|| observed.and_then(|status| status.last_heartbeat.clone())),
        agent_version: info.agent_version.to_string(),
        boot_id: device.record.boot.to_string(),
        os: info.os.to_string(),
        arch: info.arch.to_string(),
        hostname: info.hostname.to_string(),
        registered_at: Some(Time(whole_seconds(device.record.registered_at))),
        conditions: conditions(device, observed, now),
    });
    resource
}

/// Kubernetes stores whole seconds. A more precise time would always differ from the stored one.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn conditions(
    device: &FleetDevice,
    observed: Option<&DeviceStatus>,
    now: Timestamp,
) -> Vec<Condition> {
    let kept = |kind: &str| {
        observed.and_then(|status| {
            status
                .conditions
                .iter()
                .find(|condition| condition.type_ == kind)
        })
    };
    let ready = match device.presence {
        Some(Presence::Online) => {
            Some(("True", "Heartbeat", "heartbeats arrive on time".to_owned()))
        }
        Some(Presence::Stale) => Some(("False", "Late", "heartbeats are late".to_owned())),
        Some(Presence::Offline) => Some((
            "False",
            "Silent",
            "the device signed off, or has missed five heartbeats".to_owned(),
        )),
        None if kept("Ready").is_some() => None,
        None => Some((
            "Unknown",
            "OperatorStarted",
            "the operator has just started and has not heard from the device yet".to_owned(),
        )),
    };
    let unique = match &device.rival {
        None => ("True", "OneHolder", "one agent uses this name".to_owned()),
        Some(rival) => (
            "False",
            "DuplicateIdentity",
            format!(
                "two running agents claim this name: boot `{}` holds it, boot `{rival}` claims it; give one of the devices another id",
                device.record.boot
            ),
        ),
    };
    [("Ready", ready), ("Unique", Some(unique))]
        .into_iter()
        .filter_map(|(kind, wanted)| match wanted {
            Some((status, reason, message)) => {
                Some(condition(kind, status, reason, message, kept(kind), now))
            }
            None => kept(kind).cloned(),
        })
        .collect()
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    kept: Option<&Condition>,
    now: Timestamp,
) -> Condition {
    let last_transition_time = match kept {
        Some(kept) if kept.status == status => kept.last_transition_time.clone(),
        _ => Time(whole_seconds(now)),
    };
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time,
        observed_generation: None,
    }
}

#[cfg(test)]
mod tests;
