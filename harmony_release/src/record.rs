//! What was released, as data.

use harmony_types::{ChartRef, Digest, ImageRef, ReleaseUnit, Version};
use serde::Serialize;

use crate::publish::PinnedImage;
use crate::source::{Commit, Source};

/// The record of one release: what `--json` prints once all of it is there. It has no wall clock, so releasing again
/// gives the same record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    kind: &'static str,
    schema_version: u32,
    /// `<app>-<component>`.
    pub unit: String,
    /// The version of image, chart and crate.
    pub version: String,
    /// The commit that was checked out.
    pub commit: Commit,
    /// Whether the work tree differed from the commit.
    pub dirty: bool,
    /// The commit's time, in seconds since 1970.
    pub created: i64,
    /// The image by digest.
    pub image: String,
    /// The chart by version and digest; absent for an app without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
    /// The digest of the chart's archive, as `helm pull` stores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart_archive: Option<String>,
    /// The version of Harmony.
    pub tool_version: &'static str,
}

impl ReleaseRecord {
    /// The version of this document. Grows when a field changes its meaning or goes.
    pub const SCHEMA_VERSION: u32 = 1;

    pub(crate) fn new(
        unit: &ReleaseUnit,
        version: &Version,
        source: &Source,
        image: &PinnedImage,
        chart: Option<(&ChartRef, &Digest)>,
    ) -> Self {
        let image: &ImageRef = image.reference();
        Self {
            kind: "release",
            schema_version: Self::SCHEMA_VERSION,
            unit: unit.to_string(),
            version: version.to_string(),
            commit: source.commit.clone(),
            dirty: !source.dirty.is_empty(),
            created: source.created,
            image: image.to_string(),
            chart: chart.map(|(name, _)| name.to_string()),
            chart_archive: chart.map(|(_, archive)| archive.to_string()),
            tool_version: env!("CARGO_PKG_VERSION"),
        }
    }
}
