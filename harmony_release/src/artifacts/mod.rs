//! The source of the image and chart of a deploy: a release or the work tree.
//!
//! [`Released`] reads the release record and uses exactly its digests; it needs neither sources nor compilers.
//! [`WorkTree`] builds the files in the work tree and publishes them under a version that no release can have. The
//! capabilities of a topology determine which of them it supports: `WorkTree` on a CI topology does not compile.

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

/// Provides the image and the chart of an app for a deploy on the topology `T`.
///
/// Each value looks up or builds an artifact once. All Scores that share the value get the same result, so production
/// gets what staging verified.
#[async_trait]
pub trait Artifacts<T: Topology>: Debug + Clone + Send + Sync + 'static {
    /// An image of the app, which pods can pull.
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

    /// The chart of the app, which the topology can deliver.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    async fn chart(
        &self,
        app: &AppSpec,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Supplied<VersionedChart>, ArtifactError>;

    /// The Score that prepares everything for `apps` before the first of them is deployed: it builds all images at
    /// once, or looks up all releases at once. Later Scores that share this value use the result.
    fn gather(&self, apps: Vec<Arc<AppSpec>>) -> Box<dyn Score<T>>;
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WhichImage {
    /// The image of the app.
    Own,
    /// A bundled image.
    Bundled(ComponentName),
}

/// An artifact, and the changes that were made to provide it.
#[derive(Debug)]
pub struct Supplied<A> {
    pub artifact: A,
    /// The changes that were made to publish it; empty if it was already published.
    pub outcome: Outcome,
}

/// A chart, and the version of the app that it deploys.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionedChart {
    pub chart: ChartRef,
    pub version: Version,
}
