//! A topology that builds images and has no registry for them cannot release.

use harmony_core::capability::ContainerBuilder;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{BuildContext, Built};
use harmony_core::{Context, InterpretError, Outcome, Score, Topology, async_trait};
use harmony_release::ReleaseScore;
use harmony_types::ImageRef;

struct NoRegistry(Context);

#[async_trait]
impl Topology for NoRegistry {
    fn name(&self) -> &str {
        "no-registry"
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
impl ContainerBuilder for NoRegistry {
    async fn build(&self, _: &BuildContext, _: &ImageRef) -> Result<Built, BuildError> {
        Ok(Built::Predicted(None))
    }
}

fn scores(release: ReleaseScore) -> Vec<Box<dyn Score<NoRegistry>>> {
    vec![Box::new(release)]
}

fn main() {}
