//! The program of the deploy command, created from its options.

use std::sync::Arc;

use harmony::prelude::{Artifacts, DeployTarget, Platform, Program, Site};
use harmony::release::{AppSpec, WithImage};
use harmony::scores::MonitoringScore;
use harmony::scores::monitoring::HttpAddress;
use harmony::scores::storage::Storage;
use harmony::types::{Namespace, ResourceName};
use harmony::{Score, scores};
use harmony_fleet_adapters_nats::FleetContext;
use harmony_reconciler_contracts::{DeviceId, TenantId};

use crate::{
    DeviceExampleScore, FleetAgentScore, FleetServerScore, FleetToolsScore, apps, monitoring,
};

/// Deploy the fleet platform: NATS, the operator and, on this machine, one simulated device
///
/// By default, this deploys to a Kubernetes node on this machine and starts the node if necessary, which requires root. If
/// HARMONY_KUBECONFIG is set, it deploys to the cluster in this file, and pushes the images to the registry in
/// HARMONY_REGISTRY. With `--topology production`, it deploys a release to the cluster in harmony.toml.
#[derive(Debug, Clone, clap::Args)]
pub struct FleetPlatform {
    /// The namespace of the fleet
    #[arg(long, default_value = "harmony-fleet", global = true)]
    pub namespace: Namespace,
    /// The tenant of the fleet; part of the subject of every message
    #[arg(long, default_value = "default", global = true)]
    pub tenant: TenantId,
    /// Devices to simulate, separated by commas; each device is a pod, and the pods of other devices are deleted
    /// [default: device-1 on this machine, none elsewhere]
    #[arg(long, value_delimiter = ',', global = true)]
    pub devices: Option<Vec<DeviceId>>,
    /// A Secret in the namespace with the credentials for a private registry
    #[arg(long, value_name = "NAME", global = true)]
    pub pull_secret: Option<ResourceName>,
    /// Also deploy monitoring: Prometheus and Alertmanager, or the resources of prometheus-operator if the cluster has it
    #[arg(long, global = true)]
    pub monitoring: bool,
    /// The address that alerts are posted to as JSON, in Alertmanager's format
    #[arg(long, value_name = "URL", requires = "monitoring", global = true)]
    pub alert_webhook: Option<HttpAddress>,
}

impl FleetPlatform {
    fn devices(&self, site: Site) -> Vec<DeviceId> {
        match (&self.devices, site) {
            (Some(devices), _) => devices.clone(),
            (None, Site::ThisMachine) => vec!["device-1".parse().expect("a valid name")],
            (None, Site::Cluster | Site::Ci | Site::Production) => Vec::new(),
        }
    }

    fn operator(&self) -> AppSpec {
        if self.monitoring {
            monitoring::with_images(apps::operator())
        } else {
            apps::operator()
        }
    }

    fn monitoring(&self, site: Site) -> Option<MonitoringScore> {
        let score = monitoring::monitoring(&self.namespace, self.alert_webhook.clone());
        let score = match site {
            Site::ThisMachine => score.with_storage(Storage::Pod),
            Site::Cluster | Site::Ci | Site::Production => score,
        };
        let pull_secret = self.pull_secret.clone();
        self.monitoring.then(|| MonitoringScore {
            pull_secret,
            ..score
        })
    }
}

impl Program for FleetPlatform {
    fn apps(&self) -> Vec<Arc<AppSpec>> {
        vec![Arc::new(self.operator()), Arc::new(apps::agent())]
    }

    fn targets(&self) -> Vec<DeployTarget> {
        vec![DeployTarget::namespace(self.namespace.clone())]
    }

    /// The platform and, if this machine can reach its Services, the context file for `harmony-fleet`.
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
            with_podman: site == Site::ThisMachine,
            pull_secret: self.pull_secret.clone(),
            operator: Arc::new(self.operator()),
            monitoring: self.monitoring(site),
            ..FleetServerScore::new(self.namespace.clone(), artifacts.clone())
        }];
        if let (Site::ThisMachine, Some(path)) = (site, FleetContext::default_path()) {
            if let Some(device) = example.clone() {
                let path = path.with_file_name("example.yaml");
                let podman = FleetAgentScore::podman_of(&self.namespace, &device);
                scores.push(Box::new(WithImage {
                    name: DeviceExampleScore::NAME.into(),
                    artifacts: artifacts.clone(),
                    app: Arc::new(self.operator()),
                    which: apps::nats(),
                    score: move |image| DeviceExampleScore {
                        device: device.clone(),
                        podman: podman.clone(),
                        image,
                        path: path.clone(),
                    },
                }));
            }
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
