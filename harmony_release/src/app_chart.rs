//! The chart of an app for a version and an image.

use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::chart::PackagedChart;
use harmony_types::{Digest, Version};

use crate::app_spec::AppSpec;
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
