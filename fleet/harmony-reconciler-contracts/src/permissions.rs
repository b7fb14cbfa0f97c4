//! The permissions of NATS users, by role.

use crate::{TenantId, subjects};

/// The subjects that a role may use. Everything else is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// The subjects it may publish to.
    pub publish: Vec<String>,
    /// The subjects it may subscribe to.
    pub subscribe: Vec<String>,
    /// Exceptions from both lists.
    pub deny: Vec<String>,
    /// Whether it may reply to requests.
    pub reply: bool,
}

impl Permissions {
    /// The permissions of the user that all agents of a tenant share.
    ///
    /// It cannot read replies to the operator or to tools, and cannot use the operator's subjects. It can send
    /// heartbeats, registrations and observed states as any device, and read the commands to any device and what it
    /// should run. Preventing this requires an identity for each device.
    pub fn of_agents(tenant: &TenantId) -> Self {
        let keys = subjects::keys_of(tenant);
        Self {
            publish: vec![
                subjects::heartbeats_of_all(tenant),
                subjects::registrations_of_all(tenant),
                subjects::direct_get(subjects::DESIRED_BUCKET, &keys),
                subjects::direct_get(subjects::OBSERVED_BUCKET, &keys),
                subjects::stored(subjects::OBSERVED_BUCKET, &keys),
            ],
            subscribe: vec![
                subjects::commands_to_all(tenant),
                subjects::desired_of_all(tenant),
                subjects::device_inboxes(),
            ],
            deny: vec![subjects::of_operators(tenant)],
            reply: true,
        }
    }

    /// The permissions of the user for tools, which list and reach devices, and write deployments.
    ///
    /// It can list the keys of all tenants in the buckets of deployments and states, but read only the values of its own.
    pub fn of_tools(tenant: &TenantId) -> Self {
        let keys = subjects::keys_of(tenant);
        let readable = [
            subjects::DEPLOYMENTS_BUCKET,
            subjects::DESIRED_BUCKET,
            subjects::OBSERVED_BUCKET,
        ];
        let mut publish = vec![
            subjects::commands_to_all(tenant),
            subjects::list_devices(tenant),
            subjects::stored(subjects::DEPLOYMENTS_BUCKET, &keys),
        ];
        for bucket in readable {
            publish.push(subjects::list_keys(bucket));
            publish.push(subjects::direct_get(bucket, &keys));
        }
        Self {
            publish,
            subscribe: vec![format!("{}.>", subjects::TOOLS_INBOX_PREFIX)],
            deny: Vec::new(),
            reply: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_what_it_needs_and_no_more() {
        let tenant = "acme".parse().unwrap();
        let agents = Permissions::of_agents(&tenant);
        assert_eq!(
            agents.publish,
            [
                "fleet.v1.acme.*.hb",
                "fleet.v1.acme.*.register",
                "$JS.API.DIRECT.GET.KV_desired.$KV.desired.acme.*",
                "$JS.API.DIRECT.GET.KV_observed.$KV.observed.acme.*",
                "$KV.observed.acme.*",
            ]
        );
        assert_eq!(
            agents.subscribe,
            [
                "fleet.v1.acme.*.cmd",
                "fleet.v1.acme.*.desired",
                "_INBOX.device.>",
            ]
        );
        let tools = Permissions::of_tools(&tenant);
        assert_eq!(
            tools.publish,
            [
                "fleet.v1.acme.*.cmd",
                "fleet.v1.acme._operator.devices",
                "$KV.deployments.acme.*",
                "$JS.API.STREAM.INFO.KV_deployments",
                "$JS.API.DIRECT.GET.KV_deployments.$KV.deployments.acme.*",
                "$JS.API.STREAM.INFO.KV_desired",
                "$JS.API.DIRECT.GET.KV_desired.$KV.desired.acme.*",
                "$JS.API.STREAM.INFO.KV_observed",
                "$JS.API.DIRECT.GET.KV_observed.$KV.observed.acme.*",
            ]
        );
        assert_eq!(tools.subscribe, ["_INBOX.tools.>"]);
    }
}
