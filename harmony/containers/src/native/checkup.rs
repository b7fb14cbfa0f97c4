//! What of this machine the native builder needs.

use async_trait::async_trait;
use harmony_core::capability::Checkup;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::Finding;
use harmony_core::process;

use super::NativeBuilder;

/// The compilers that recipes use. Each is needed only by apps in its language.
const COMPILERS: &[&str] = &["cargo", "go"];

#[async_trait]
impl Checkup for NativeBuilder {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        const PART: &str = "builder native";
        let compilers = COMPILERS.iter().map(|name| match process::find(name) {
            Some(path) => Finding::ok(PART, *name, path.display().to_string()),
            None => Finding::skipped(
                PART,
                *name,
                "not installed; needed only to build apps with it",
            ),
        });
        compilers.collect()
    }
}
