//! An example deployment for the simulated device of this machine.

use std::fs;
use std::path::PathBuf;

use harmony::core::capability::DevicePodman;
use harmony::core::codes;
use harmony::core::diagnostic::{Diagnostic, Origin};
use harmony::core::outcome::{Action, Change, Subject};
use harmony::types::{ImageRef, ResourceName};
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_reconciler_contracts::DeviceId;

/// Writes a file for `harmony-fleet apply`: a message broker on a device. Its image is the one of the fleet's own NATS
/// server, so that nothing has to be downloaded.
#[derive(Debug, Clone)]
pub struct DeviceExampleScore {
    /// The device.
    pub device: DeviceId,
    /// Its podman, see [`crate::FleetAgentScore::podman_of`].
    pub podman: ResourceName,
    /// The image of NATS.
    pub image: ImageRef,
    /// The path of the file.
    pub path: PathBuf,
}

impl DeviceExampleScore {
    pub const NAME: &str = "fleet-example";

    fn content(&self) -> String {
        let Self { device, image, .. } = self;
        let (registry, repository) = (image.registry(), image.repository());
        let digest = image.digest().map(ToString::to_string).unwrap_or_default();
        format!(
            "# A message broker on a device. `harmony-fleet apply` it, then ask for its `status`.\n\
             name: broker\n\
             target:\n  devices: [{device}]\n\
             containers:\n  \
               nats:\n    \
                 image: {registry}/{repository}@{digest}\n    \
                 command: [--port, \"4333\"]\n    \
                 ports:\n      - {{ host: 4333, container: 4333 }}\n"
        )
    }
}

impl<T: Topology + DevicePodman> Score<T> for DeviceExampleScore {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + DevicePodman> Interpret<T> for DeviceExampleScore {
    async fn execute(
        &self,
        _inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let provided = topology.provide_to_device(&self.podman, &self.image).await;
        let provided = provided.map_err(|error| InterpretError::new(Self::NAME, error))?;
        let content = self.content();
        let action = match fs::read_to_string(&self.path) {
            Ok(kept) if kept == content => Action::Unchanged,
            Ok(_) => Action::Update,
            Err(_) => Action::Create,
        };
        if action != Action::Unchanged && !topology.context().is_planning() {
            let folder = self.path.parent().map_or(Ok(()), fs::create_dir_all);
            folder
                .and_then(|()| fs::write(&self.path, content))
                .map_err(|source| {
                    let path = self.path.clone();
                    InterpretError::new(Self::NAME, ExampleError { path, source })
                })?;
        }
        let mut outcome = Outcome::from(Change::new(action, Subject::File(self.path.clone())));
        outcome.changes.extend(provided);
        Ok(outcome.with_note(format!(
            "next: cargo run -p harmony-fleet -- apply {}",
            self.path.display()
        )))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write the example `{}`", path.display())]
struct ExampleError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Diagnostic for ExampleError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::FLEET_EXAMPLE)
    }

    fn place(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "the fleet itself is deployed; only the example is missing".into(),
            "make the directory writable, or set XDG_STATE_HOME to another one, and run the same command again".into(),
        ]
    }
}
