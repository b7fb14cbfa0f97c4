//! The content of a release, as data: written at the end of a release, read by every deploy.

use std::collections::BTreeMap;

use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_types::{ChartRef, ComponentName, Digest, ImageRef, ReleaseUnit, Version};
use serde::{Deserialize, Serialize};

use crate::input_key::InputKey;
use crate::pinned_image::PinnedImage;
use crate::source::{Commit, Source};

/// The record of a release: printed by `--json` when the release is complete, and used to deploy without the sources.
/// It contains no wall-clock time, so releasing again gives the same record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    kind: Kind,
    schema_version: u32,
    /// `<app>-<component>`.
    pub unit: String,
    pub version: Version,
    pub commit: Commit,
    /// The time of the commit, in seconds since 1970.
    pub created: i64,
    pub image: ImageRef,
    /// The bundled images, by digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bundled: BTreeMap<ComponentName, ImageRef>,
    /// The chart, by version and digest; absent for an app without a chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ChartRef>,
    /// The digest of the chart archive, as stored by `helm pull`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_archive: Option<Digest>,
    pub tool_version: String,
    /// The inputs of the release. With the same key, a release is not built again. Absent if the inputs were not
    /// completely known, and in releases of older versions of Harmony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_key: Option<InputKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Release,
}

/// What a release published, in the order in which it was published.
pub(crate) struct Publication {
    pub(crate) image: PinnedImage,
    pub(crate) bundled: BTreeMap<ComponentName, PinnedImage>,
    pub(crate) chart: Option<PublishedChart>,
}

/// A published chart.
pub(crate) struct PublishedChart {
    pub(crate) name: ChartRef,
    pub(crate) archive: Digest,
}

impl ReleaseRecord {
    /// The version of this document. It increases when a field is removed or changes its meaning.
    pub const SCHEMA_VERSION: u32 = 2;

    pub(crate) fn new(
        unit: &ReleaseUnit,
        version: &Version,
        source: &Source,
        published: Publication,
        input_key: Option<InputKey>,
    ) -> Self {
        let bundled = published.bundled.into_iter();
        let (chart, chart_archive) = match published.chart {
            Some(chart) => (Some(chart.name), Some(chart.archive)),
            None => (None, None),
        };
        Self {
            kind: Kind::Release,
            schema_version: Self::SCHEMA_VERSION,
            unit: unit.to_string(),
            version: version.clone(),
            commit: source.commit.clone(),
            created: source.created,
            image: published.image.reference().clone(),
            bundled: bundled
                .map(|(name, image)| (name, image.reference().clone()))
                .collect(),
            chart,
            chart_archive,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            input_key,
        }
    }

    /// Returns true if both are the same release with the same content, possibly made by different programs.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        let made_like_other = Self {
            tool_version: other.tool_version.clone(),
            input_key: other.input_key.clone(),
            ..self.clone()
        };
        made_like_other == *other
    }

    /// Parses the record of `unit` and `version`.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn read(bytes: &[u8], unit: &ReleaseUnit, version: &Version) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Schema {
            schema_version: u32,
        }
        let of = || format!("{unit} {version}");
        let unreadable = |source| RecordError::Unreadable { of: of(), source };
        let schema: Schema = serde_json::from_slice(bytes).map_err(unreadable)?;
        if schema.schema_version != Self::SCHEMA_VERSION {
            return Err(RecordError::Schema {
                of: of(),
                found: schema.schema_version,
            });
        }
        let record: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if record.unit != unit.as_str() || record.version != *version {
            return Err(RecordError::Other {
                of: of(),
                found: format!("{} {}", record.unit, record.version),
            });
        }
        Ok(record)
    }

    /// The stored document. The same record gives the same bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of texts and numbers serialises")
    }
}

/// The reason why a deploy cannot use a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the release record of {of} cannot be read")]
    Unreadable {
        of: String,
        #[source]
        source: serde_json::Error,
    },
    /// Another version of Harmony wrote the record.
    #[error(
        "the release record of {of} has schema {found}, but this program supports {}",
        ReleaseRecord::SCHEMA_VERSION
    )]
    Schema { of: String, found: u32 },
    /// The record belongs to another release.
    #[error("the release record of {of} belongs to {found}")]
    Other { of: String, found: String },
}

impl Diagnostic for RecordError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::RELEASE_RECORD)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::Schema { found, .. } if *found > ReleaseRecord::SCHEMA_VERSION => {
                "update this program: a newer version made the release".into()
            }
            Self::Schema { .. } => "publish a new patch release: an older version of this program made this one".into(),
            Self::Unreadable { .. } | Self::Other { .. } => {
                "another program wrote it: publish a new release, and check who can push to the registry".into()
            }
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> ReleaseUnit {
        ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap()
    }

    fn document() -> serde_json::Value {
        let digest = format!("sha256:{}", "ab".repeat(32));
        serde_json::json!({
            "kind": "release", "schemaVersion": 2, "unit": "shop-web", "version": "1.2.3",
            "commit": "0123456789012345678901234567890123456789", "created": 7,
            "image": format!("registry.example.com/team/shop-web@{digest}"), "toolVersion": "0.1.0",
        })
    }

    fn read(document: &serde_json::Value) -> Result<ReleaseRecord, RecordError> {
        ReleaseRecord::read(
            document.to_string().as_bytes(),
            &unit(),
            &"1.2.3".parse().unwrap(),
        )
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let record = read(&document()).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&record.to_bytes()).unwrap(),
            document()
        );
    }

    #[test]
    fn a_record_may_have_an_input_key_and_fields_of_later_versions() {
        let old = read(&document()).unwrap();
        assert_eq!(old.input_key, None);
        let mut document = document();
        document["inputKey"] = format!("sha256:{}", "cd".repeat(32)).into();
        document["later"] = 1.into();
        let new = read(&document).unwrap();
        assert!(new.input_key.is_some());
        assert!(new.has_content_of(&old) && old.has_content_of(&new));
        let mut other = new.clone();
        other.commit = read(&serde_json::json!({
            "kind": "release", "schemaVersion": 2, "unit": "shop-web", "version": "1.2.3",
            "commit": "9123456789012345678901234567890123456789", "created": 7,
            "image": old.image.to_string(), "toolVersion": "0.1.0",
        }))
        .unwrap()
        .commit;
        assert!(!new.has_content_of(&other));
    }

    #[test]
    fn a_record_of_something_else_is_refused() {
        let with = |key: &str, value: serde_json::Value| {
            let mut document = document();
            document[key] = value;
            read(&document)
        };
        assert!(matches!(
            with("unit", "shop-api".into()),
            Err(RecordError::Other { .. })
        ));
        assert!(matches!(
            with("version", "1.2.4".into()),
            Err(RecordError::Other { .. })
        ));
        assert!(matches!(
            with("schemaVersion", 3.into()),
            Err(RecordError::Schema { .. })
        ));
        assert!(matches!(
            with("kind", "chart".into()),
            Err(RecordError::Unreadable { .. })
        ));
        assert!(matches!(
            with("image", "UPPER".into()),
            Err(RecordError::Unreadable { .. })
        ));
    }
}
