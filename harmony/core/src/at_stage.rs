//! A Score on the cluster of a stage.

use async_trait::async_trait;

use crate::capability::Stages;
use crate::chart::Stage;
use crate::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};

/// Runs a Score on the cluster that the topology has for a stage. The name of the Score stays the same.
#[derive(Debug, Clone)]
pub struct AtStage<S> {
    /// The stage.
    pub stage: Stage,
    /// What runs there.
    pub score: S,
}

impl<S> AtStage<S> {
    /// `score` on the cluster for `stage`.
    pub fn new(stage: Stage, score: S) -> Self {
        Self { stage, score }
    }
}

impl<T, S> Score<T> for AtStage<S>
where
    T: Topology + Stages + 'static,
    S: Score<T>,
{
    fn name(&self) -> String {
        self.score.name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(There {
            stage: self.stage,
            interpret: self.score.create_interpret(),
        })
    }

    fn parts(&self) -> Vec<Box<dyn Score<T>>> {
        let parts = self.score.parts().into_iter();
        parts
            .map(|part| Box::new(AtStage::new(self.stage, part)) as Box<dyn Score<T>>)
            .collect()
    }
}

struct There<T: Topology> {
    stage: Stage,
    interpret: Box<dyn Interpret<T>>,
}

#[async_trait]
impl<T: Topology + Stages> Interpret<T> for There<T> {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        match topology.at_stage(self.stage) {
            Some(there) => self.interpret.execute(inventory, &there).await,
            None => self.interpret.execute(inventory, topology).await,
        }
    }
}
