//! What a workload deployed is no outcome: only `Verified` can take it out, after readiness and checks.

use harmony_core::verify::Workload;
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};

#[derive(Debug, Clone)]
struct Unverified<W>(W);

#[async_trait]
impl<T: Topology, W: Workload<T>> Interpret<T> for Unverified<W> {
    async fn execute(&self, inventory: &Inventory, topology: &T) -> Result<Outcome, InterpretError> {
        let deployed = self.0.deploy(inventory, topology).await?;
        Ok(deployed.outcome)
    }
}

fn is_a_score<T: Topology, W: Workload<T>>(workload: W) -> Box<dyn Score<T>> {
    Box::new(workload)
}

fn main() {}
