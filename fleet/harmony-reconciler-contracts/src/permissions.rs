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
    /// heartbeats and registrations as any device, and read the commands to any device. Preventing this requires an
    /// identity for each device.
    pub fn of_agents(tenant: &TenantId) -> Self {
        Self {
            publish: vec![
                subjects::heartbeats_of_all(tenant),
                subjects::registrations_of_all(tenant),
            ],
            subscribe: vec![
                subjects::commands_to_all(tenant),
                subjects::device_inboxes(),
            ],
            deny: vec![subjects::of_operators(tenant)],
            reply: true,
        }
    }

    /// The permissions of the user for tools, which list and reach devices.
    pub fn of_tools(tenant: &TenantId) -> Self {
        Self {
            publish: vec![
                subjects::commands_to_all(tenant),
                subjects::list_devices(tenant),
            ],
            subscribe: vec![format!("{}.>", subjects::TOOLS_INBOX_PREFIX)],
            deny: Vec::new(),
            reply: false,
        }
    }
}
