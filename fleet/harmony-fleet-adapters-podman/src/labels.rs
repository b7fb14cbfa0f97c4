//! The labels of everything that we create.

use std::collections::BTreeMap;

use harmony_fleet_domain::NewContainer;
use harmony_reconciler_contracts::{ContainerName, ContentHash, DeploymentName, PinnedImage};

/// The name of the deployment. What has this label is ours.
pub(crate) const DEPLOYMENT: &str = "io.harmony.fleet.deployment";
const CONTAINER: &str = "io.harmony.fleet.container";
const HASH: &str = "io.harmony.fleet.hash";
const IMAGE: &str = "io.harmony.fleet.image";

pub(crate) type Labels = BTreeMap<String, String>;

pub(crate) fn of_container(container: &NewContainer<'_>) -> Labels {
    let mut labels = of_volume(container.deployment);
    labels.insert(CONTAINER.into(), container.name.to_string());
    labels.insert(HASH.into(), container.hash.to_string());
    labels.insert(IMAGE.into(), container.spec.image.to_string());
    labels
}

/// A volume belongs to a deployment, of whichever content.
pub(crate) fn of_volume(deployment: &DeploymentName) -> Labels {
    Labels::from([(DEPLOYMENT.into(), deployment.to_string())])
}

/// What the labels of a container say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) deployment: DeploymentName,
    pub(crate) name: ContainerName,
    pub(crate) hash: ContentHash,
    pub(crate) image: PinnedImage,
}

/// Reads the labels of a container, or says what is wrong with them.
pub(crate) fn read(labels: &Labels) -> Result<Identity, String> {
    Ok(Identity {
        deployment: parsed(labels, DEPLOYMENT)?,
        name: parsed(labels, CONTAINER)?,
        hash: parsed(labels, HASH)?,
        image: parsed(labels, IMAGE)?,
    })
}

fn parsed<T>(labels: &Labels, key: &str) -> Result<T, String>
where
    T: TryFrom<String, Error: std::fmt::Display>,
{
    let text = labels
        .get(key)
        .ok_or_else(|| format!("the label {key} is missing"))?;
    T::try_from(text.clone()).map_err(|error| format!("the label {key} is invalid: {error}"))
}
