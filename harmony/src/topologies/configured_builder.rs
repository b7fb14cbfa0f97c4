//! The image builder of a configuration.

use harmony_containers::{BuildKitBuilder, DockerBuilder};
use harmony_core::Context;
use harmony_core::delegation::*;

use super::HostBuilder;
use crate::configuration::BuilderChoice;
use crate::dirs;

/// The builder that the configuration names.
#[derive(Debug, Clone, Delegate)]
#[delegate(Checkup)]
#[delegate(ContainerBuilder)]
pub(super) enum ConfiguredBuilder {
    Host(HostBuilder),
    Docker(DockerBuilder),
    BuildKit(BuildKitBuilder),
}

impl ConfiguredBuilder {
    /// Does not start or contact anything before the first build.
    pub(super) fn new(context: &Context, choice: &BuilderChoice) -> Self {
        let cache = || dirs::cache().join("images");
        match choice {
            BuilderChoice::Native => Self::Host(HostBuilder::new(context)),
            BuilderChoice::Docker { address } => {
                let docker = DockerBuilder::new(context.clone(), cache());
                Self::Docker(match address {
                    Some(address) => docker.with_endpoint(address),
                    None => docker,
                })
            }
            BuilderChoice::BuildKit(endpoint) => {
                let context = context.clone();
                Self::BuildKit(BuildKitBuilder::new(context, cache(), endpoint.clone()))
            }
        }
    }
}
