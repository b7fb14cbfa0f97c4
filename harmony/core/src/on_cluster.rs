//! A Score on another cluster of its topology.

use async_trait::async_trait;
use harmony_types::KubeContext;

use crate::capability::Clusters;
use crate::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};

/// Runs a Score on the cluster of that name, whatever cluster the topology uses by default.
///
/// Staging and production of one pipeline may so be clusters of their own. On a topology that has one cluster only it
/// does not compile.
#[derive(Debug, Clone)]
pub struct OnCluster<S> {
    /// The context of the kubeconfig.
    pub cluster: KubeContext,
    /// What runs there.
    pub score: S,
}

impl<S> OnCluster<S> {
    /// `score` on `cluster`.
    pub fn new(cluster: KubeContext, score: S) -> Self {
        Self { cluster, score }
    }
}

impl<T, S> Score<T> for OnCluster<S>
where
    T: Topology + Clusters + 'static,
    S: Score<T>,
{
    fn name(&self) -> String {
        format!("{}/{}", self.score.name(), self.cluster)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(There {
            name: self.name(),
            cluster: self.cluster.clone(),
            interpret: self.score.create_interpret(),
        })
    }

    fn parts(&self) -> Vec<Box<dyn Score<T>>> {
        let parts = self.score.parts().into_iter();
        parts
            .map(|part| Box::new(OnCluster::new(self.cluster.clone(), part)) as Box<dyn Score<T>>)
            .collect()
    }
}

struct There<T: Topology> {
    name: String,
    cluster: KubeContext,
    interpret: Box<dyn Interpret<T>>,
}

#[async_trait]
impl<T: Topology + Clusters> Interpret<T> for There<T> {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let there = topology
            .on_cluster(&self.cluster)
            .map_err(|error| InterpretError::new(&self.name, error))?;
        let mut outcome = there.ensure_ready().await?;
        outcome.absorb(self.interpret.execute(inventory, &there).await?);
        Ok(outcome)
    }
}
