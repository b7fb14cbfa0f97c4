//! The chart of an app for a version and an image.

use harmony_core::capability::HelmRegistry;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::chart::PackagedChart;
use harmony_core::outcome::Change;
use harmony_types::{ChartRef, Digest, Version};

use crate::app_spec::AppSpec;
use crate::error::ReleaseError;
use crate::pinned_image::PinnedImage;
use harmony_charts::{ChartContext, ChartError};

/// Creates and packages the chart of `app` with `image`; `None` for an app without a chart. The same arguments give the
/// same bytes.
///
/// `created` is the modification time of all files, in seconds since 1970.
///
/// # Errors
/// See [`ChartError`].
pub fn package(
    app: &AppSpec,
    version: &Version,
    image: &PinnedImage,
    created: i64,
) -> Result<Option<PackagedChart>, ChartError> {
    let context = ChartContext {
        unit: &app.unit,
        version,
        image: image.reference(),
    };
    harmony_charts::package(&app.chart, &app.project_root, &context, created)
}

/// Publishes the objects of a chart beside it, for controllers that cannot render it. `None` if there is nothing to publish.
///
/// # Errors
/// See [`ReleaseError`].
pub(crate) async fn publish_objects(
    chart: &PackagedChart,
    name: &ChartRef,
    registry: &impl HelmRegistry,
) -> Result<Option<Change>, ReleaseError> {
    let Some(objects) = harmony_charts::package_objects(chart)? else {
        return Ok(None);
    };
    let published = registry.push_objects(&objects, name).await?;
    Ok(published.map(|published| published.change))
}

/// Creates the chart for an image that does not exist yet, to find its errors before a build that takes minutes.
/// Returns whether there is a chart.
pub(crate) fn try_out(
    app: &AppSpec,
    version: &Version,
    registry: &RegistryLocation,
) -> Result<bool, ChartError> {
    let some_digest = Digest::sha256_from_bytes([0xab; 32]);
    let image = PinnedImage::new(&registry.image(&app.unit, version), &some_digest);
    Ok(package(app, version, &image, 0)?.is_some())
}
