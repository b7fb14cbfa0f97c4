//! The image builders of this machine.

use harmony_containers::{DockerBuilder, NativeBuilder};
use harmony_core::capability::container_builder::BuildError;
use harmony_core::capability::{Checkup, ContainerBuilder};
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::Finding;
use harmony_core::image::{BuildContext, Built, ImageSource};
use harmony_core::{Context, async_trait};
use harmony_types::ImageRef;

use crate::dirs;

/// Builds recipes without a daemon, and Dockerfiles with the Docker engine of this machine.
#[derive(Debug, Clone)]
pub struct HostBuilder {
    native: NativeBuilder,
    docker: DockerBuilder,
}

impl HostBuilder {
    /// Does not start or contact anything before the first build.
    pub fn new(context: &Context) -> Self {
        let cache = dirs::cache().join("images");
        Self {
            native: NativeBuilder::new(context.clone(), cache.clone()),
            docker: DockerBuilder::new(context.clone(), cache),
        }
    }
}

#[async_trait]
impl ContainerBuilder for HostBuilder {
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError> {
        match context.source {
            ImageSource::Buildable(_) => self.native.build(context, image).await,
            ImageSource::Dockerfile { .. } => self.docker.build(context, image).await,
        }
    }
}

#[async_trait]
impl Checkup for HostBuilder {
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let mut found = self.native.examine(targets).await;
        let docker = self.docker.examine(targets).await.into_iter();
        found.extend(docker.map(|finding| finding.optional("needed only for Dockerfiles")));
        found
    }
}
