//! What the deploy command deploys, from its options.

use std::sync::Arc;

use harmony::prelude::{Artifacts, Platform, Program, Site};
use harmony::release::AppSpec;
use harmony::types::{Namespace, ResourceName};
use harmony::{Score, scores};
use harmony_fleet_adapters_nats::FleetContext;
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::{FleetServerScore, FleetToolsScore, apps};

/// Deploys the fleet platform: NATS, the operator and, on this machine, one simulated device.
///
/// It goes to a real Kubernetes node on this machine, which it brings up first (needs root). With HARMONY_KUBECONFIG it
/// goes to the cluster of that file, and its images to the registry of HARMONY_REGISTRY.
#[derive(Debug, Clone, clap::Args)]
pub struct FleetPlatform {
    /// The namespace that the fleet runs in
    #[arg(long, default_value = "harmony-fleet", global = true)]
    pub namespace: Namespace,
    /// Whose fleet it is; part of every message's subject
    #[arg(long, default_value = "default", global = true)]
    pub tenant: TenantId,
    /// Devices to simulate, one pod each, separated by commas; the pods of others are removed [default: device-1 on this
    /// machine, none elsewhere]
    #[arg(long, value_delimiter = ',', global = true)]
    pub devices: Option<Vec<DeviceId>>,
    /// A Secret of the namespace that lets the cluster pull from a private registry
    #[arg(long, value_name = "NAME", global = true)]
    pub pull_secret: Option<ResourceName>,
}

impl FleetPlatform {
    fn devices(&self, site: Site) -> Vec<DeviceId> {
        match (&self.devices, site) {
            (Some(devices), _) => devices.clone(),
            (None, Site::ThisMachine) => vec!["device-1".parse().expect("a valid name")],
            (None, Site::Cluster | Site::Ci) => Vec::new(),
        }
    }
}

impl Program for FleetPlatform {
    fn apps(&self) -> Vec<Arc<AppSpec>> {
        apps::released()
    }

    /// The platform and, where this machine reaches its services, the file that `harmony-fleet` finds it by.
    fn scores<T: Platform, A: Artifacts<T>>(
        &self,
        site: Site,
        artifacts: &A,
    ) -> Vec<Box<dyn Score<T>>> {
        let devices = self.devices(site);
        let example = devices.first().cloned();
        let mut scores: Vec<Box<dyn Score<T>>> = scores![FleetServerScore {
            tenant: self.tenant.clone(),
            devices,
            pull_secret: self.pull_secret.clone(),
            ..FleetServerScore::new(self.namespace.clone(), artifacts.clone())
        }];
        if let (Site::ThisMachine, Some(path)) = (site, FleetContext::default_path()) {
            scores.push(Box::new(FleetToolsScore {
                namespace: self.namespace.clone(),
                tenant: self.tenant.clone(),
                path,
                example,
            }));
        }
        scores
    }
}
