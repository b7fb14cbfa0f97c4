//! Whether a BuildKit daemon answers.

use async_trait::async_trait;
use harmony_core::capability::Checkup;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{self, Finding};

use super::BuildKitBuilder;

#[async_trait]
impl Checkup for BuildKitBuilder {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        let answers = async {
            self.check().await?;
            Ok::<_, BuildError>(format!("BuildKit at {}", self.endpoint))
        };
        vec![checkup::check("builder BuildKit", "answers", answers).await]
    }
}
