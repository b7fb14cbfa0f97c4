//! One image from its source to where pods can pull it.

use std::collections::BTreeMap;

use harmony_core::Inventory;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{ContainerBuilder, OciRegistry};
use harmony_core::diagnostic::{Diagnostic, Origin};
use harmony_core::image::BuildContext;
use harmony_core::outcome::Change;
use harmony_types::{Digest, ImageRef, Version};

use crate::app_spec::AppSpec;
use crate::source::Source;

/// Builds the image of `app` and makes it available in the topology's registry.
///
/// This is the way of a laptop and of tests: no commit is needed and none is named in the image, so that its digest
/// changes when its content does and not at each commit. A release publishes with the commit's time and name instead.
///
/// Planning builds and sends nothing; the digest is then known only where the builder can tell it from an earlier
/// build.
///
/// # Errors
/// See [`PublishError`].
pub async fn publish_image<T>(
    topology: &T,
    inventory: &Inventory,
    app: &AppSpec,
    version: &Version,
) -> Result<PublishedImage, PublishError>
where
    T: ContainerBuilder + OciRegistry,
{
    publish(topology, inventory, app, version, &Provenance::default()).await
}

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

/// A published image by digest, `name@sha256:...`. Only publishing gives one, so a chart that needs it comes after its
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage(ImageRef);

impl PinnedImage {
    pub(crate) fn new(name: &ImageRef, digest: &Digest) -> Self {
        let untagged = ImageRef::new(name.registry().clone(), name.repository().clone());
        Self(untagged.with_digest(digest.clone()))
    }

    /// What a chart names.
    pub fn reference(&self) -> &ImageRef {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        self.0
            .digest()
            .expect("`new` gave it one, and nothing takes it away")
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

/// What an image says of where it comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    /// Seconds since 1970.
    created: i64,
    /// The commit, `-dirty` when the work tree differed from it.
    revision: Option<String>,
}

impl From<&Source> for Provenance {
    fn from(source: &Source) -> Self {
        let mark = if source.dirty.is_empty() {
            ""
        } else {
            "-dirty"
        };
        Self {
            created: source.created,
            revision: Some(format!("{}{mark}", source.commit)),
        }
    }
}

pub(crate) async fn publish<T>(
    topology: &T,
    inventory: &Inventory,
    app: &AppSpec,
    version: &Version,
    provenance: &Provenance,
) -> Result<PublishedImage, PublishError>
where
    T: ContainerBuilder + OciRegistry,
{
    let name = topology.registry_url().image(&app.unit, version);
    let built = topology
        .build(&build_context(inventory, app, version, provenance), &name)
        .await?;
    let published = topology.push_image(&built, &name).await?;
    let digest = published.digest.or_else(|| built.digest().cloned());
    let pinned = digest.map(|digest| PinnedImage::new(&name, &digest));
    Ok(PublishedImage {
        change: published.change,
        image: pinned.as_ref().map_or(name, |pinned| pinned.0.clone()),
        pinned,
    })
}

fn build_context(
    inventory: &Inventory,
    app: &AppSpec,
    version: &Version,
    provenance: &Provenance,
) -> BuildContext {
    // keys of the OCI image specification, annotations
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title", app.unit.to_string()),
        ("org.opencontainers.image.version", version.to_string()),
    ]);
    if let Some(revision) = &provenance.revision {
        labels.insert("org.opencontainers.image.revision", revision.clone());
    }
    BuildContext {
        project_root: app.project_root.clone(),
        source: app.image.clone(),
        platform: inventory.platform.clone(),
        created: provenance.created,
        labels: labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}
