//! Where a deploy takes image and chart from: a release, or the work tree.
//!
//! [`Released`] looks the release record up and takes exactly those digests; it needs neither sources nor compilers.
//! [`WorkTree`] builds what lies in the work tree and publishes it under a version that no release can have. Which one a
//! topology can use, its capabilities say: `WorkTree` on a CI topology does not compile.

mod error;
mod released;
mod work_tree;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::{Inventory, Outcome, Score, Topology};
use harmony_types::{ChartRef, ComponentName, ImageRef, Version};

pub use error::ArtifactError;
pub use released::{FindReleasesScore, Released, VersionChoice, VersionChoiceError};
pub use work_tree::{PublishWorkTreeScore, WorkTree};

use crate::app_spec::AppSpec;

/// Gives a deploy the image and the chart of an app on the topology `T`.
///
/// A value looks once: what it found or built stays the same for all Scores that share it, so that production gets what
/// staging verified.
#[async_trait]
pub trait Artifacts<T: Topology>: Debug + Clone + Send + Sync + 'static {
    /// An image of the app that pods can pull.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    async fn image(
        &self,
        app: &AppSpec,
        which: &WhichImage,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Supplied<ImageRef>, ArtifactError>;

    /// The app's chart, which the topology's delivery can pull.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    async fn chart(
        &self,
        app: &AppSpec,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Supplied<VersionedChart>, ArtifactError>;

    /// The Score that gets everything for `apps` before the first of them is deployed: all builds at once, or one look
    /// for all releases. Scores that come after it and share this value find everything there.
    fn gather(&self, apps: Vec<Arc<AppSpec>>) -> Box<dyn Score<T>>;
}

/// One of an app's images.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WhichImage {
    /// The app's own.
    Own,
    /// One that is bundled with it.
    Bundled(ComponentName),
}

/// An artifact, and what was done to have it.
#[derive(Debug)]
pub struct Supplied<A> {
    /// The artifact.
    pub artifact: A,
    /// What was published for it; empty when it was there.
    pub outcome: Outcome,
}

/// A chart and the version of the app that it deploys.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionedChart {
    /// Where the chart is.
    pub chart: ChartRef,
    /// The version of the app.
    pub version: Version,
}
