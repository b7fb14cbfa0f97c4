//! The smoke check of an agent: it answers a ping through NATS, as sent by a tool.

use harmony::async_trait;
use harmony::core::capability::Prober;
use harmony::core::verify::{CustomCheck, ProbeFailure};
use harmony::types::Namespace;
use harmony_fleet_adapters_nats::NatsDeviceCommander;
use harmony_fleet_domain::DeviceCommander as _;
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::access::{ToolsAccess, seen};

/// Checks that the agent of a device answers a ping through the fleet's NATS.
#[derive(Debug, Clone)]
pub struct AgentAnswersPing {
    pub device: DeviceId,
    pub tenant: TenantId,
    /// The access of the user for tools.
    pub access: ToolsAccess,
}

#[async_trait]
impl CustomCheck for AgentAnswersPing {
    fn describe(&self) -> String {
        format!("device {} answers a ping through NATS", self.device)
    }

    async fn run(&self, prober: &dyn Prober, namespace: &Namespace) -> Result<(), ProbeFailure> {
        let (_tunnel, connection) = self.access.connect(prober, namespace).await?;
        let commander = NatsDeviceCommander::new(connection, self.tenant.clone());
        commander
            .ping(&self.device, 1)
            .await
            .map_err(|error| seen(&error))?;
        Ok(())
    }
}
