//! A Score that needs an image first.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_types::ImageRef;

use crate::app_spec::AppSpec;
use crate::artifacts::{Artifacts, WhichImage};

/// Gets an image of an app, then runs the Score that `F` creates with it. For workloads without a chart.
pub struct WithImage<A, F> {
    /// The name of this Score, which is also that of the Score that `F` creates.
    pub name: String,
    /// The source of the image.
    pub artifacts: A,
    pub app: Arc<AppSpec>,
    pub which: WhichImage,
    pub score: F,
}

impl<A: Clone, F: Clone> Clone for WithImage<A, F> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            artifacts: self.artifacts.clone(),
            app: Arc::clone(&self.app),
            which: self.which.clone(),
            score: self.score.clone(),
        }
    }
}

impl<A: fmt::Debug, F> fmt::Debug for WithImage<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithImage")
            .field("name", &self.name)
            .field("artifacts", &self.artifacts)
            .field("app", &self.app.unit)
            .field("which", &self.which)
            .finish_non_exhaustive()
    }
}

impl<T, A, F, S> Score<T> for WithImage<A, F>
where
    T: Topology,
    A: Artifacts<T>,
    F: Fn(ImageRef) -> S + Clone + Send + Sync + 'static,
    S: Score<T>,
{
    fn name(&self) -> String {
        self.name.clone()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T, A, F, S> Interpret<T> for WithImage<A, F>
where
    T: Topology,
    A: Artifacts<T>,
    F: Fn(ImageRef) -> S + Clone + Send + Sync + 'static,
    S: Score<T>,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let image = self
            .artifacts
            .image(&self.app, &self.which, inventory, topology)
            .await
            .map_err(|error| InterpretError::new(&self.name, error))?;
        let mut outcome = image.outcome;
        let score = (self.score)(image.artifact);
        // Not with `interpret`, because a Score starts and ends once.
        let interpret = score.create_interpret();
        outcome.absorb(interpret.execute(inventory, topology).await?);
        Ok(outcome)
    }
}
