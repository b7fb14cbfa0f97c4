//! What an app is, for release and deploy.

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

/// One releasable app or component of an app. Pure data: who builds, pushes and delivers is the topology's business.
#[derive(Debug, Clone)]
pub struct AppSpec {
    /// App and component; its name is that of the image, of the chart and of the git tags that release it.
    pub unit: ReleaseUnit,
    /// The root of the project; every path of this spec is relative to it. Only building reads it: a release is deployed
    /// without it.
    pub project_root: PathBuf,
    /// What must agree with the version that a tag asks for.
    pub version: VersionSource,
    /// Where the image comes from.
    pub image: ImageSource,
    /// Images of others that the app needs and that are released with it.
    pub bundled: Vec<BundledImage>,
    /// Where the chart comes from.
    pub chart: ChartSource,
    /// What must hold for a deployed version to count as working.
    pub smoke: Checks,
}

/// An image of somebody else's program that is released together with an app, under the app's version, so that a
/// deployment needs one registry only.
#[derive(Debug, Clone)]
pub struct BundledImage {
    /// What it is, such as `nats-server`.
    pub name: ComponentName,
    /// Where it comes from.
    pub image: ImageSource,
}

/// What an app runs in a cluster, and how one sees that it works: a chart and its checks, said once.
pub trait Serves {
    /// The objects of the chart.
    fn chart(&self, unit: &ReleaseUnit) -> Arc<dyn ChartModel>;

    /// What must hold once they are ready.
    fn checks(&self, unit: &ReleaseUnit) -> Checks;
}

impl AppSpec {
    /// An app that is an image and no more, until [`AppSpec::serving`] says how it runs in a cluster.
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

    /// With the chart and the checks of `server`.
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
    /// The three names together are too long.
    pub fn bundled_unit(&self, image: &BundledImage) -> Result<ReleaseUnit, BundledNameError> {
        let unit = || {
            let app: AppName = self.unit.as_str().parse()?;
            ReleaseUnit::new(app, image.name.clone())
        };
        unit().map_err(|source| BundledNameError { source })
    }
}

/// The names of an app and of an image bundled with it are not legal together.
#[derive(Debug, thiserror::Error)]
#[error("a bundled image cannot be named")]
pub struct BundledNameError {
    /// Which rule they break.
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

/// Where the version of an app is written; its tags must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSource {
    /// In the manifest of the crate of this name, a member of the Cargo workspace at the project root.
    Crate(String),
    /// Here, for what is no crate.
    Fixed(Version),
}

/// The units of `apps`, for reading tags.
///
/// # Errors
/// Two apps have one name.
pub fn registered_units<'a>(
    apps: impl IntoIterator<Item = &'a AppSpec>,
) -> Result<ReleaseUnits, ReleaseUnitsError> {
    ReleaseUnits::new(apps.into_iter().map(|app| app.unit.clone()))
}
