//! What a NATS user may do, by its role.

use crate::{TenantId, subjects};

/// The subjects that a role may use. Everything else is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// May be published to.
    pub publish: Vec<String>,
    /// May be subscribed to.
    pub subscribe: Vec<String>,
    /// Refused for both, although a wildcard above covers it.
    pub deny: Vec<String>,
    /// Whether requests may be answered at their reply subject.
    pub reply: bool,
}

impl Permissions {
    /// The one user that all agents of a tenant share.
    ///
    /// It cannot read replies to the operator or to tools, and cannot use the operator's subjects. It can send heartbeats
    /// and registrations as any device, and read the commands to any device: only an identity for each device will
    /// prevent that.
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

    /// The user of people and programs that list and reach devices.
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
