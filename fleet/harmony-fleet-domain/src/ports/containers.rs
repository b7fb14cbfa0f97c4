//! The containers of a device.

use std::time::Duration;

use async_trait::async_trait;
use harmony_reconciler_contracts::{
    Container, ContainerName, ContentHash, DeploymentName, FailureReason, PinnedImage,
};

use crate::Cause;

/// The program that runs the containers of this device. It touches only containers that it created itself, which it
/// recognizes by their labels.
///
/// It never restarts a container on its own: the agent does, so that restarts are delayed and counted, and exit codes are
/// not lost. Containers keep running when the agent stops.
#[async_trait]
pub trait ContainerRuntime: Send + Sync {
    /// All containers of the fleet, whether they run or not.
    async fn list(&self) -> Result<Vec<LiveContainer>, RuntimeError>;

    /// Makes the image available on the device, and returns at once if it already is. The image is for the processor of
    /// this device; otherwise the reason is [`FailureReason::WrongArchitecture`].
    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError>;

    /// Creates a container from an image that is on the device, and starts it. Checks first what it needs from the device
    /// (folders, secrets). If it fails, no container is left.
    async fn run(&self, container: &NewContainer<'_>) -> Result<(), RuntimeError>;

    /// Starts a container that has ended, with everything that it wrote to its file system.
    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Stops a container, if it runs, and removes it. Volumes stay. A container that does not exist is not an error.
    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError>;
}

/// What containers tell about themselves.
#[async_trait]
pub trait ContainerSigns: Send + Sync {
    /// Runs a command in a running container, for at most this time.
    async fn check(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout_seconds: u32,
    ) -> Result<Checked, RuntimeError>;

    /// The last lines of the output, oldest first.
    async fn last_lines(&self, id: &ContainerId, lines: usize)
    -> Result<Vec<String>, RuntimeError>;

    /// Returns when a container of the fleet may have changed. It is a hint: changes can be missed, and it can return
    /// without one. Never returns faster than once in 100 ms.
    async fn changed(&self);
}

/// The id that the runtime gave a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

/// A container to create.
#[derive(Debug, Clone, Copy)]
pub struct NewContainer<'a> {
    /// Its deployment.
    pub deployment: &'a DeploymentName,
    /// Its name in the deployment.
    pub name: &'a ContainerName,
    /// The content of the deployment that it belongs to.
    pub hash: &'a ContentHash,
    /// What to run.
    pub spec: &'a Container,
}

/// A container of the fleet on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveContainer {
    /// Its id.
    pub id: ContainerId,
    /// Its deployment.
    pub deployment: DeploymentName,
    /// Its name in the deployment.
    pub name: ContainerName,
    /// The content of the deployment that it was created from.
    pub hash: ContentHash,
    /// The digest of its image, `sha256:...`, as it was asked for.
    pub image: Option<String>,
    /// Whether it runs.
    pub state: LiveState,
    /// How long its last run took by the clock of the device, which can jump.
    pub lived: Option<Duration>,
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveState {
    /// It was never started.
    Created,
    /// It runs.
    Running,
    /// Somebody paused it, or it is in a state that only a person can have caused.
    Paused,
    /// It has ended.
    Ended {
        /// The exit code.
        code: i32,
        /// The kernel killed it because it used too much memory.
        out_of_memory: bool,
    },
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The exit code is 0.
    Passed,
    /// The exit code is not 0, or the command took too long.
    Failed {
        /// What the command said, or how long it took, in one line.
        words: String,
    },
}

/// Something that the runtime did not do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", reason.words())]
pub struct RuntimeError {
    /// The kind of the cause.
    pub reason: FailureReason,
    /// The runtime's own words, in one line, without secrets.
    pub detail: String,
    /// The error of the client, if it failed.
    #[source]
    pub source: Option<Cause>,
}
