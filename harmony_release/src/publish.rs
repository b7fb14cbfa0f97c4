//! Building and publishing an image.

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

/// An image that pods can pull or, while planning, could.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedImage {
    /// The change that was or would be made.
    pub change: Change,
    /// The reference for objects: the image by digest or, when planning an image that has not been built yet, by
    /// version.
    pub image: ImageRef,
    pinned: Option<PinnedImage>,
}

impl PublishedImage {
    /// The image by digest; `None` only when planning an image that has not been built yet.
    pub fn pinned(&self) -> Option<&PinnedImage> {
        self.pinned.as_ref()
    }
}

/// The reason why an image could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Build(#[from] BuildError),
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

/// The image to build, and the name to publish it under.
#[derive(Debug, Clone)]
pub(crate) struct ImageToPublish<'a> {
    pub(crate) unit: ReleaseUnit,
    pub(crate) app: &'a AppSpec,
    pub(crate) source: &'a ImageSource,
}

/// The provenance of an image. For a work tree it is empty, so that the digest changes with the content and not with
/// each commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    /// Seconds since 1970.
    created: i64,
    version: Option<Version>,
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

/// Builds an image for the registry of `topology`, with the name `name`.
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

/// Publishes an image as `name`.
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

pub(crate) fn build_context(
    inventory: &Inventory,
    image: &ImageToPublish<'_>,
    provenance: &Provenance,
) -> BuildContext {
    // keys of the annotations in the OCI image specification
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
