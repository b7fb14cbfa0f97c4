//! Whether a Docker engine answers.

use async_trait::async_trait;
use harmony_core::capability::Checkup;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{self, Finding};

use super::DockerBuilder;

#[async_trait]
impl Checkup for DockerBuilder {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        vec![checkup::check("builder docker", "answers", self.version()).await]
    }
}

impl DockerBuilder {
    async fn version(&self) -> Result<String, BuildError> {
        let docker = self.endpoint.connect(&self.context).await?;
        let version = docker.version().await.map_err(|error| {
            let help = "check that the daemon is still running";
            self.endpoint
                .failed("reading its version".into(), help, error.into())
        })?;
        let version = version
            .version
            .unwrap_or_else(|| "of an unknown version".into());
        Ok(format!("Docker {version} at {}", self.endpoint))
    }
}
