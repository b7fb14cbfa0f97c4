//! The check of an agent: it answers a ping through NATS, as a tool would send it.

use harmony::async_trait;
use harmony::core::capability::Prober;
use harmony::core::diagnostic::causes;
use harmony::core::verify::{CustomCheck, ProbeFailure};
use harmony::types::Namespace;
use harmony_fleet_adapters_nats::{NatsAuth, NatsConnection, NatsDeviceCommander, NatsOptions};
use harmony_fleet_domain::DeviceCommander as _;
use harmony_reconciler_contracts::{DeviceId, TenantId};
use secrecy::SecretString;

use crate::FleetNatsScore;
use crate::credentials::Role;

/// That the agent of a device answers a ping, all the way through the fleet's NATS.
#[derive(Debug, Clone)]
pub struct AgentAnswersPing {
    /// The device.
    pub device: DeviceId,
    /// Whose fleet it is.
    pub tenant: TenantId,
    /// The password of the user for tools.
    pub password: SecretString,
}

#[async_trait]
impl CustomCheck for AgentAnswersPing {
    fn describe(&self) -> String {
        format!("device {} answers a ping through NATS", self.device)
    }

    async fn run(&self, prober: &dyn Prober, namespace: &Namespace) -> Result<(), ProbeFailure> {
        let tunnel = prober
            .connect(namespace, &FleetNatsScore::service())
            .await
            .map_err(|error| seen(&error))?;
        let address = format!("nats://{}", tunnel.address());
        let servers = address.parse().map_err(|error| seen(&error))?;
        let auth = NatsAuth::UserPassword {
            user: Role::Tools.user().to_string(),
            password: self.password.clone(),
        };
        let options = NatsOptions::for_tools(servers, auth, "harmony-fleet-deploy");
        let connection = NatsConnection::connect(&options)
            .await
            .map_err(|error| seen(&error))?;
        let commander = NatsDeviceCommander::new(connection, self.tenant.clone());
        commander
            .ping(&self.device, 1)
            .await
            .map_err(|error| seen(&error))?;
        Ok(())
    }
}

fn seen(error: &(dyn std::error::Error + 'static)) -> ProbeFailure {
    ProbeFailure::new(error.to_string()).with_details(causes(error))
}
