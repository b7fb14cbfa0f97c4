//! One image from its source to where pods can pull it.

use std::collections::BTreeMap;

use harmony_core::Inventory;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{ContainerBuilder, OciRegistry};
use harmony_core::diagnostic::{Diagnostic, Origin};
use harmony_core::image::{BuildContext, Built, ImageSource};
use harmony_core::outcome::Change;
use harmony_types::{Digest, ImageRef, ReleaseUnit, Version};

use crate::app_spec::AppSpec;
use crate::pinned_image::PinnedImage;
use crate::source::Source;

/// An image that pods can pull or, when planning, could.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedImage {
    /// What was, or would be, done.
    pub change: Change,
    /// What an object names: the image by digest or, when planning what is not built yet, by version.
    pub image: ImageRef,
    pinned: Option<PinnedImage>,
}

impl PublishedImage {
    /// The image by digest; `None` only when planning what is not built yet.
    pub fn pinned(&self) -> Option<&PinnedImage> {
        self.pinned.as_ref()
    }
}

/// An image that could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The registry did not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl Diagnostic for PublishError {
    fn origin(&self) -> Origin<'_> {
        Origin::Inner(match self {
            Self::Build(error) => error,
            Self::Registry(error) => error,
        })
    }
}

/// What is built, and under which name it is published.
#[derive(Debug, Clone)]
pub(crate) struct ImageToPublish<'a> {
    pub(crate) unit: ReleaseUnit,
    pub(crate) app: &'a AppSpec,
    pub(crate) source: &'a ImageSource,
}

/// What an image says of where it comes from. That of a work tree says nothing, so that its digest changes when its
/// content does and not at each commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    /// Seconds since 1970.
    created: i64,
    version: Option<Version>,
    /// The commit.
    revision: Option<String>,
}

impl Provenance {
    pub(crate) fn released(source: &Source, version: &Version) -> Self {
        Self {
            created: source.created,
            version: Some(version.clone()),
            revision: Some(source.commit.to_string()),
        }
    }
}

/// Builds an image for the registry of `topology`; `name` is the one it will have.
pub(crate) async fn build<T>(
    topology: &T,
    inventory: &Inventory,
    image: &ImageToPublish<'_>,
    name: &ImageRef,
    provenance: &Provenance,
) -> Result<Built, PublishError>
where
    T: ContainerBuilder,
{
    let context = build_context(inventory, image, provenance);
    Ok(topology.build(&context, name).await?)
}

/// Makes a built image available under `name`.
pub(crate) async fn push<T: OciRegistry>(
    topology: &T,
    built: &Built,
    name: &ImageRef,
) -> Result<PublishedImage, PublishError> {
    let published = topology.push_image(built, name).await?;
    let digest: Option<Digest> = published.digest.or_else(|| built.digest().cloned());
    let pinned = digest.map(|digest| PinnedImage::new(name, &digest));
    Ok(PublishedImage {
        change: published.change,
        image: pinned
            .as_ref()
            .map_or_else(|| name.clone(), |pinned| pinned.reference().clone()),
        pinned,
    })
}

fn build_context(
    inventory: &Inventory,
    image: &ImageToPublish<'_>,
    provenance: &Provenance,
) -> BuildContext {
    // keys of the OCI image specification, annotations
    let mut labels = BTreeMap::from([("org.opencontainers.image.title", image.unit.to_string())]);
    if let Some(version) = &provenance.version {
        labels.insert("org.opencontainers.image.version", version.to_string());
    }
    if let Some(revision) = &provenance.revision {
        labels.insert("org.opencontainers.image.revision", revision.clone());
    }
    BuildContext {
        project_root: image.app.project_root.clone(),
        source: image.source.clone(),
        platform: inventory.platform.clone(),
        created: provenance.created,
        labels: labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}
