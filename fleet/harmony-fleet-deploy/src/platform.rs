//! What the deploy command deploys, from its options.

use harmony::core::capability::{ContainerBuilder, KubernetesCluster, OciRegistry, Prober};
use harmony::types::{Namespace, ResourceName};
use harmony::{Score, Topology, scores};
use harmony_fleet_adapters_nats::FleetContext;
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::{FleetServerScore, FleetToolsScore};

/// What may be chosen about the platform.
#[derive(Debug, Clone, clap::Args)]
pub struct PlatformArgs {
    /// The namespace that the fleet runs in
    #[arg(long, default_value = "harmony-fleet", global = true)]
    pub namespace: Namespace,
    /// Whose fleet it is; part of every message's subject
    #[arg(long, default_value = "default", global = true)]
    pub tenant: TenantId,
    /// Devices to simulate, one pod each, separated by commas; the pods of others are removed
    #[arg(long, default_value = "device-1", value_delimiter = ',', global = true)]
    pub devices: Vec<DeviceId>,
    /// A Secret of the namespace that lets the cluster pull from a private registry
    #[arg(long, value_name = "NAME", global = true)]
    pub pull_secret: Option<ResourceName>,
}

impl PlatformArgs {
    /// The platform and, when this machine reaches its services, the file that `harmony-fleet` finds it by.
    pub fn scores<T>(&self, reachable: bool) -> Vec<Box<dyn Score<T>>>
    where
        T: Topology + ContainerBuilder + OciRegistry + KubernetesCluster + Prober + 'static,
    {
        let server = FleetServerScore {
            tenant: self.tenant.clone(),
            devices: self.devices.clone(),
            pull_secret: self.pull_secret.clone(),
            ..FleetServerScore::local(self.namespace.clone())
        };
        let mut scores: Vec<Box<dyn Score<T>>> = scores![server];
        if let (true, Some(path)) = (reachable, FleetContext::default_path()) {
            scores.push(Box::new(FleetToolsScore {
                namespace: self.namespace.clone(),
                tenant: self.tenant.clone(),
                path,
                example: self.devices.first().cloned(),
            }));
        }
        scores
    }
}
