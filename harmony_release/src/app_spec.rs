//! The description of an app, for releases and deploys.

use std::path::PathBuf;
use std::sync::Arc;

use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::image::ImageSource;
use harmony_core::verify::Checks;
use harmony_types::{
    AppName, ComponentName, NameError, ReleaseUnit, ReleaseUnits, ReleaseUnitsError, Version,
};

use harmony_charts::{ChartModel, ChartSource};

/// A releasable app, or a component of an app. Plain data: the topology decides how to build, push and deliver it.
#[derive(Debug, Clone)]
pub struct AppSpec {
    /// The app and the component. The name is also that of the image and the chart, and the first part of release tags.
    pub unit: ReleaseUnit,
    /// The root directory of the project; all paths are relative to it. It is needed only for building, and not for
    /// deploying a release.
    pub project_root: PathBuf,
    /// The source of the version, which must match the version in a tag.
    pub version: VersionSource,
    /// The source of the image.
    pub image: ImageSource,
    /// Third-party images that the app needs and that are released together with it.
    pub bundled: Vec<BundledImage>,
    /// The source of the chart.
    pub chart: ChartSource,
    /// The checks that a deploy must pass.
    pub smoke: Checks,
}

/// A third-party image that is released together with an app, under the app's version, so that a deploy needs only one
/// registry.
#[derive(Debug, Clone)]
pub struct BundledImage {
    /// The name of the image, such as `nats-server`.
    pub name: ComponentName,
    /// The source of the image.
    pub image: ImageSource,
}

/// What an app runs in a cluster: its chart and its checks.
pub trait Serves {
    /// The objects of the chart.
    fn chart(&self, unit: &ReleaseUnit) -> Arc<dyn ChartModel>;

    /// The checks to run when the objects are ready.
    fn checks(&self, unit: &ReleaseUnit) -> Checks;
}

impl AppSpec {
    /// An app that consists only of an image, until [`AppSpec::serving`] adds a chart.
    pub fn image_only(unit: ReleaseUnit, project_root: PathBuf, image: ImageSource) -> Self {
        Self {
            version: VersionSource::Crate(unit.to_string()),
            unit,
            project_root,
            image,
            bundled: Vec::new(),
            chart: ChartSource::None,
            smoke: Checks::readiness_alone(),
        }
    }

    /// Adds the chart and the checks of `server`.
    #[must_use]
    pub fn serving(self, server: impl Serves) -> Self {
        Self {
            chart: ChartSource::FromScore(server.chart(&self.unit)),
            smoke: server.checks(&self.unit),
            ..self
        }
    }

    /// The unit under which a bundled image is published: `<app>-<component>-<name>`.
    ///
    /// # Errors
    /// The combined name is too long.
    pub fn bundled_unit(&self, image: &BundledImage) -> Result<ReleaseUnit, BundledNameError> {
        let unit = || {
            let app: AppName = self.unit.as_str().parse()?;
            ReleaseUnit::new(app, image.name.clone())
        };
        unit().map_err(|source| BundledNameError { source })
    }
}

/// The combined name of an app and a bundled image is not valid.
#[derive(Debug, thiserror::Error)]
#[error("the name of a bundled image is not valid")]
pub struct BundledNameError {
    source: NameError,
}

impl Diagnostic for BundledNameError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::BUNDLED_IMAGE_NAME)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec![self.source.hint()]
    }
}

/// The source of an app's version, which must match its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSource {
    /// The manifest of this crate, a member of the Cargo workspace at the project root.
    Crate(String),
    /// A fixed version, for apps that are not a crate.
    Fixed(Version),
}

/// The units of `apps`, for parsing tags.
///
/// # Errors
/// Two apps have the same name.
pub fn registered_units<'a>(
    apps: impl IntoIterator<Item = &'a AppSpec>,
) -> Result<ReleaseUnits, ReleaseUnitsError> {
    ReleaseUnits::new(apps.into_iter().map(|app| app.unit.clone()))
}
