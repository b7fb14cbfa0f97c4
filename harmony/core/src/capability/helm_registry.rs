//! Storing and finding charts.

use std::sync::Arc;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::{ChartRef, Digest};

use super::oci_registry::{Published, RegistryError};
use crate::chart::{PackagedChart, PackagedObjects, PublishedObjects};

/// Stores and finds charts. Providers: any OCI registry, Harbor, a directory on a laptop.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` has no registry for charts",
    label = "this topology lacks the capability `HelmRegistry`",
    note = "give `{Self}` a registry, for example `harmony_registry::OciRegistryClient`, and delegate `HelmRegistry` to it"
)]
pub trait HelmRegistry: Send + Sync {
    /// Publishes the chart as `to`. A published version never changes, as with images.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError>;

    /// The digest of the chart's manifest; `None` if the chart does not exist.
    ///
    /// # Errors
    /// See [`RegistryError`]. A missing chart is not an error.
    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError>;

    /// The content of the chart, verified by its digests.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError>;

    /// Publishes the objects of a chart, for controllers that cannot render it: see [`objects`](super::oci_registry::RegistryLocation::objects). `None` if
    /// controllers cannot pull from here, which is the default.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn push_objects(
        &self,
        _objects: &PackagedObjects,
        _of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        Ok(None)
    }

    /// The objects of a chart, verified by their digests; `None` if they were not published.
    ///
    /// # Errors
    /// See [`RegistryError`]. Missing objects are not an error.
    async fn pull_objects(
        &self,
        _of: &ChartRef,
    ) -> Result<Option<PublishedObjects>, RegistryError> {
        Ok(None)
    }
}

/// Shared by the parts of a topology that store charts and those that deliver them.
#[async_trait]
impl<R: HelmRegistry + ?Sized> HelmRegistry for Arc<R> {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        (**self).push_chart(chart, to).await
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        (**self).resolve_chart(chart).await
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        (**self).pull_chart(chart).await
    }

    async fn push_objects(
        &self,
        objects: &PackagedObjects,
        of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        (**self).push_objects(objects, of).await
    }

    async fn pull_objects(&self, of: &ChartRef) -> Result<Option<PublishedObjects>, RegistryError> {
        (**self).pull_objects(of).await
    }
}
