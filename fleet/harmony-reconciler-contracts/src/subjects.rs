//! The subjects of messages. There is one function per subject, so that no subject is written twice.
//!
//! ```text
//! fleet.v1.<tenant>.<device>.hb         heartbeat            device -> operator     publish
//! fleet.v1.<tenant>.<device>.register   registration         device -> operator     request
//! fleet.v1.<tenant>.<device>.cmd        command              operator, tool -> device  request
//! fleet.v1.<tenant>.<device>.desired    desired state        operator -> device     republished by the bucket
//! fleet.v1.<tenant>._operator.devices   list of devices      tool -> operator       request
//! fleet.v1.<tenant>._operator.hb        operator's heartbeat operator -> operator   publish
//! ```
//! `_operator` cannot be a device, because a [`DeviceId`] has no underscore.
//!
//! What has to last is in key-value buckets:
//! ```text
//! bucket        key                     value                written by  read by
//! devices       <tenant>.<device>       registration         operator    operator
//! deployments   <tenant>.<deployment>   deployment           tools       operator, tools
//! desired       <tenant>.<device>       desired state        operator    device, tools
//! observed      <tenant>.<device>       observed state       device      operator, tools
//! ```
//! A value is written by publishing to [`stored`] with the sequence number of the value before, and read by a request to
//! [`direct_get`]. No device has a consumer or a watch of a bucket.

use crate::{DeploymentName, DeviceId, TenantId};

/// The NATS key-value bucket of the device registry.
pub const REGISTRY_BUCKET: &str = "devices";

/// The bucket of the deployments, which tools write.
pub const DEPLOYMENTS_BUCKET: &str = "deployments";

/// The bucket of the desired state of each device, which the operator writes.
pub const DESIRED_BUCKET: &str = "desired";

/// The bucket of the observed state of each device, which the device writes.
pub const OBSERVED_BUCKET: &str = "observed";

/// The queue group of operators: if there are several, one of them answers a request.
pub const OPERATOR_QUEUE: &str = "operator";

/// The prefix of reply subjects for the operator.
pub const OPERATOR_INBOX_PREFIX: &str = "_INBOX.operator";

/// The prefix of reply subjects for tools.
pub const TOOLS_INBOX_PREFIX: &str = "_INBOX.tools";

const DEVICES_INBOX_PREFIX: &str = "_INBOX.device";

const ROOT: &str = "fleet.v1";

/// The heartbeats of a device.
pub fn heartbeat(tenant: &TenantId, device: &DeviceId) -> String {
    format!("{ROOT}.{tenant}.{device}.hb")
}

/// The heartbeats of all devices of a tenant. Also matches the heartbeat of the operator.
pub fn heartbeats_of_all(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}.*.hb")
}

/// The registration of a device.
pub fn register(tenant: &TenantId, device: &DeviceId) -> String {
    format!("{ROOT}.{tenant}.{device}.register")
}

/// The registrations of all devices of a tenant.
pub fn registrations_of_all(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}.*.register")
}

/// The commands to a device.
pub fn command(tenant: &TenantId, device: &DeviceId) -> String {
    format!("{ROOT}.{tenant}.{device}.cmd")
}

/// The commands to all devices of a tenant.
pub fn commands_to_all(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}.*.cmd")
}

/// All subjects between operators and tools, which devices must not use.
pub fn of_operators(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}._operator.>")
}

/// The operator's service that lists devices.
pub fn list_devices(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}._operator.devices")
}

/// The heartbeat of the operator, with which two operators of the same tenant detect each other.
pub fn operator_heartbeat(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}._operator.hb")
}

/// The prefix of reply subjects for a device. Devices, the operator and tools have different prefixes, and each device
/// has its own, so that permissions can prevent them from reading each other's replies. With the default prefix of
/// NATS, `_INBOX`, this would not be possible.
pub fn device_inbox_prefix(device: &DeviceId) -> String {
    format!("{DEVICES_INBOX_PREFIX}.{device}")
}

/// The reply subjects for all devices.
pub fn device_inboxes() -> String {
    format!("{DEVICES_INBOX_PREFIX}.>")
}

/// The key of a device in the buckets of the registry, the desired and the observed states.
pub fn device_key(tenant: &TenantId, device: &DeviceId) -> String {
    format!("{tenant}.{device}")
}

/// The prefix of the keys of all devices of a tenant in the registry bucket.
pub fn registry_key_prefix(tenant: &TenantId) -> String {
    format!("{tenant}.")
}

/// All keys of a tenant in a bucket, as the end of [`stored`] or [`direct_get`].
pub fn keys_of(tenant: &TenantId) -> String {
    format!("{tenant}.*")
}

/// The subject of a stored value, on which it is written.
pub fn stored(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// The service that reads a stored value (Direct Get).
pub fn direct_get(bucket: &str, key: &str) -> String {
    format!(
        "$JS.API.DIRECT.GET.{}.{}",
        stream(bucket),
        stored(bucket, key)
    )
}

/// The service that lists the keys of a bucket.
pub fn list_keys(bucket: &str) -> String {
    format!("$JS.API.STREAM.INFO.{}", stream(bucket))
}

/// The stream that stores a bucket.
pub fn stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The desired state of a device, published with each change of the bucket.
pub fn desired(tenant: &TenantId, device: &DeviceId) -> String {
    format!("{ROOT}.{tenant}.{device}.desired")
}

/// The desired states of all devices of a tenant.
pub fn desired_of_all(tenant: &TenantId) -> String {
    format!("{ROOT}.{tenant}.*.desired")
}

/// The mapping of the bucket of desired states: from the subject of a stored value to the one on which it is republished.
pub fn republish_desired() -> (String, String) {
    (
        stored(DESIRED_BUCKET, "*.*"),
        format!("{ROOT}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}.desired"),
    )
}

/// The key of a deployment in its bucket.
pub fn deployment_key(tenant: &TenantId, deployment: &DeploymentName) -> String {
    format!("{tenant}.{deployment}")
}

/// The name at the end of a stored value's subject, if it is a value of this tenant.
pub fn stored_name<'a>(subject: &'a str, bucket: &str, tenant: &TenantId) -> Option<&'a str> {
    let key = subject.strip_prefix(&stored(bucket, ""))?;
    let name = key.strip_prefix(tenant.as_str())?.strip_prefix('.')?;
    (!name.contains('.')).then_some(name)
}

/// The device in a subject of the form `fleet.v1.<tenant>.<device>.<kind>`, if it is a device of this tenant.
pub fn device_of(subject: &str, tenant: &TenantId) -> Option<DeviceId> {
    let rest = subject
        .strip_prefix(ROOT)?
        .strip_prefix('.')?
        .strip_prefix(tenant.as_str())?
        .strip_prefix('.')?;
    let (device, kind) = rest.split_once('.')?;
    if kind.contains('.') {
        return None;
    }
    device.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    #[test]
    fn subjects_are_as_documented() {
        let device: DeviceId = "pump-1".parse().unwrap();
        assert_eq!(heartbeat(&tenant(), &device), "fleet.v1.acme.pump-1.hb");
        assert_eq!(
            register(&tenant(), &device),
            "fleet.v1.acme.pump-1.register"
        );
        assert_eq!(command(&tenant(), &device), "fleet.v1.acme.pump-1.cmd");
        assert_eq!(list_devices(&tenant()), "fleet.v1.acme._operator.devices");
        assert_eq!(operator_heartbeat(&tenant()), "fleet.v1.acme._operator.hb");
        assert_eq!(device_inbox_prefix(&device), "_INBOX.device.pump-1");
        assert_eq!(device_key(&tenant(), &device), "acme.pump-1");
        assert_eq!(desired(&tenant(), &device), "fleet.v1.acme.pump-1.desired");
        let key = device_key(&tenant(), &device);
        assert_eq!(
            direct_get(DESIRED_BUCKET, &key),
            "$JS.API.DIRECT.GET.KV_desired.$KV.desired.acme.pump-1"
        );
        assert_eq!(stored(OBSERVED_BUCKET, &key), "$KV.observed.acme.pump-1");
        assert_eq!(
            list_keys(DEPLOYMENTS_BUCKET),
            "$JS.API.STREAM.INFO.KV_deployments"
        );
        assert_eq!(
            republish_desired(),
            (
                "$KV.desired.*.*".to_owned(),
                "fleet.v1.{{wildcard(1)}}.{{wildcard(2)}}.desired".to_owned()
            )
        );
    }

    #[test]
    fn the_name_of_a_stored_value_is_read_back() {
        let name = |subject| stored_name(subject, OBSERVED_BUCKET, &tenant());
        assert_eq!(name("$KV.observed.acme.pump-1"), Some("pump-1"));
        for other in [
            "$KV.desired.acme.pump-1",
            "$KV.observed.acme2.pump-1",
            "$KV.observed.acme.pump-1.more",
            "$KV.observed",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn subjects_of_others_name_no_device() {
        for subject in [
            "",
            "fleet.v1",
            "fleet.v1.acme",
            "fleet.v1.acme.pump",
            "fleet.v1.acme2.pump.hb",
            "fleet.v1.acm.pump.hb",
            "fleet.v2.acme.pump.hb",
            "fleet.v1.acme._operator.hb",
            "fleet.v1.acme.pump.hb.more",
            "fleet.v1.acme.Pump.hb",
        ] {
            assert_eq!(device_of(subject, &tenant()), None, "{subject}");
        }
    }

    proptest! {
        #[test]
        fn the_device_can_be_read_back(text in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
            let device: DeviceId = text.parse().unwrap();
            for subject in [heartbeat(&tenant(), &device), register(&tenant(), &device), command(&tenant(), &device)] {
                prop_assert_eq!(device_of(&subject, &tenant()), Some(device.clone()));
            }
        }

        #[test]
        fn reading_never_panics(subject in any::<String>()) {
            let _ = device_of(&subject, &tenant());
        }
    }
}
