//! What an app is, for release and deploy.

use std::path::PathBuf;

use harmony_core::image::ImageSource;
use harmony_core::verify::SmokeCheck;
use harmony_types::{ReleaseUnit, ReleaseUnits, ReleaseUnitsError, Version};

use crate::chart::ChartSource;

/// One releasable app or component of an app. Pure data: who builds, pushes and delivers is the topology's business.
#[derive(Debug, Clone)]
pub struct AppSpec {
    /// App and component; its name is that of the image, of the chart and of the git tags that release it.
    pub unit: ReleaseUnit,
    /// The root of the project; every path of this spec is relative to it.
    pub project_root: PathBuf,
    /// What must agree with the version that a tag asks for.
    pub version: VersionSource,
    /// Where the image comes from.
    pub image: ImageSource,
    /// Where the chart comes from.
    pub chart: ChartSource,
    /// What must hold for a deployed version to count as working.
    pub smoke: Vec<SmokeCheck>,
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
pub fn registered_units(apps: &[AppSpec]) -> Result<ReleaseUnits, ReleaseUnitsError> {
    ReleaseUnits::new(apps.iter().map(|app| app.unit.clone()))
}
