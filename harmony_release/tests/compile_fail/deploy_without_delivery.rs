//! A topology that cannot deliver charts cannot deploy, even if it can check what runs.

use harmony_core::capability::Prober;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::prober::Tunnel;
use harmony_core::verify::{ProbeFailure, ServicePort, SmokeCheck};
use harmony_core::{Context, InterpretError, Outcome, Score, Topology, async_trait};
use harmony_release::DeployScore;
use harmony_types::Namespace;

struct NoDelivery(Context);

#[async_trait]
impl Topology for NoDelivery {
    fn name(&self) -> &str {
        "no-delivery"
    }

    fn context(&self) -> &Context {
        &self.0
    }

    fn into_planning(self) -> Self {
        self
    }

    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

#[async_trait]
impl Prober for NoDelivery {
    async fn probe(&self, _: &Namespace, _: &SmokeCheck) -> Result<(), ProbeFailure> {
        Ok(())
    }

    async fn connect(&self, _: &Namespace, _: &ServicePort) -> Result<Tunnel, ClusterError> {
        Ok(Tunnel::direct(([127, 0, 0, 1], 1).into()))
    }
}

fn scores(deploy: DeployScore) -> Vec<Box<dyn Score<NoDelivery>>> {
    vec![Box::new(deploy)]
}

fn main() {}
