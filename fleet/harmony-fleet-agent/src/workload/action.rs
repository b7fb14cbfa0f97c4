//! Carries out one step.

use std::time::Duration;

use harmony_fleet_domain::{
    Checked, ContainerId, ContainerRuntime, ContainerSigns, NewContainer, RuntimeError,
};
use harmony_reconciler_contracts::{DeploymentName, DesiredDeployment, Reason};

use tokio::time::Instant;

use super::plan::{self, Step};

/// The number of lines of output that are reported when a container fails.
const LINES: usize = 5;

/// The time that reading the output may take. The output is not worth more.
const READ_OUTPUT: Duration = Duration::from_secs(5);

/// A step of a deployment.
#[derive(Debug, Clone)]
pub struct Action {
    pub deployment: DeploymentName,
    /// The content that the step is about, if it is about one.
    pub content: Option<DesiredDeployment>,
    pub step: Step,
    /// When the step began.
    pub begun: Instant,
}

/// A step that was carried out.
#[derive(Debug)]
pub struct Done {
    pub action: Action,
    pub result: Result<Option<Checked>, RuntimeError>,
    /// The last lines of the container that the step is about, if it failed before.
    pub lines: Vec<Reason>,
}

impl Action {
    /// Carries it out.
    pub async fn perform<R: ContainerRuntime + ContainerSigns>(self, runtime: &R) -> Done {
        let lines = match &self.step {
            Step::GiveUp(_, Some(id)) | Step::Start(_, id, Some(_)) | Step::Replace(_, id) => {
                last_lines(runtime, id).await
            }
            _ => Vec::new(),
        };
        let result = self.attempt(runtime).await;
        Done {
            action: self,
            result,
            lines,
        }
    }

    async fn attempt<R: ContainerRuntime + ContainerSigns>(
        &self,
        runtime: &R,
    ) -> Result<Option<Checked>, RuntimeError> {
        match &self.step {
            Step::Remove(ids) => {
                for id in ids {
                    runtime.remove(id).await?;
                }
            }
            Step::Pull(image) => runtime.pull(image).await?,
            Step::Run(name) => {
                let Some(content) = &self.content else {
                    return Ok(None);
                };
                if let Some(spec) = plan::containers_of(content).get(name) {
                    let container = NewContainer {
                        deployment: &self.deployment,
                        name,
                        hash: &content.hash,
                        spec,
                    };
                    runtime.run(&container).await?;
                }
            }
            Step::Start(_, id, _) => runtime.start(id).await?,
            Step::Replace(_, id) => runtime.remove(id).await?,
            Step::Check(_, id, health) => {
                let checked = runtime.check(id, &health.command, health.timeout_seconds);
                return checked.await.map(Some);
            }
            Step::GiveUp(..) | Step::Works | Step::Wait(_) | Step::Forget => {}
        }
        Ok(None)
    }
}

async fn last_lines(runtime: &impl ContainerSigns, id: &ContainerId) -> Vec<Reason> {
    let read = tokio::time::timeout(READ_OUTPUT, runtime.last_lines(id, LINES)).await;
    match read {
        Ok(Ok(lines)) => lines.into_iter().map(Reason::from).collect(),
        _ => Vec::new(),
    }
}
