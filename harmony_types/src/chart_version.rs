//! Versions of third-party charts.

use std::fmt;

use crate::excerpt::excerpt;
use crate::image::Tag;
use crate::string_value::string_conversions;

/// The version of a third-party chart, as its author writes it: `4.15.1`, `v1.18.2`, `1.0`, `2.3.4+build.5`.
///
/// This is what Helm accepts: a semantic version with an optional `v` in front, one to three numbers, and optional
/// pre-release and build metadata. The text is kept, because it is also the name under which the chart is published.
/// Our own charts have a [`Version`](crate::Version).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChartVersion(String);

/// The reason why a string is not a valid [`ChartVersion`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChartVersionError {
    /// The string is longer than [`ChartVersion::MAX_LENGTH`].
    #[error("chart version `{value}` is {length} bytes long, but the limit is {max}", max = ChartVersion::MAX_LENGTH)]
    TooLong {
        /// The invalid string.
        value: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The string is a range of versions, such as `^1.2` or `latest`.
    #[error("chart version `{value}` is not an exact version")]
    Range {
        /// The invalid string.
        value: String,
    },
    /// The string is not a version.
    #[error("chart version `{value}` is not a version: {problem}")]
    Syntax {
        /// The invalid string.
        value: String,
        /// The problem according to the semver grammar.
        problem: String,
    },
}

impl ChartVersionError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLong { .. } => format!("the limit is {} bytes", ChartVersion::MAX_LENGTH),
            Self::Range { .. } | Self::Syntax { .. } => {
                "use the version exactly as the repository lists it, for example `4.15.1` or `v1.18.2`; \
                 `helm search repo --versions` lists the versions"
                    .to_owned()
            }
        }
    }
}

impl ChartVersion {
    /// The maximum length of a version, in bytes: that of an OCI tag.
    pub const MAX_LENGTH: usize = 128;

    /// Parses a version.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, ChartVersionError> {
        let text = value.as_ref();
        let value = || excerpt(text);
        if text.len() > Self::MAX_LENGTH {
            return Err(ChartVersionError::TooLong {
                value: value(),
                length: text.len(),
            });
        }
        let (core, _) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
        let is_range = text.contains(['^', '~', '<', '>', '=', '*', ',', '|', ' '])
            || text == "latest"
            || core.split('.').any(|part| matches!(part, "x" | "X"));
        if is_range {
            return Err(ChartVersionError::Range { value: value() });
        }
        match semver::Version::parse(&completed(text)) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(ChartVersionError::Syntax {
                value: value(),
                problem: error.to_string(),
            }),
        }
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which Helm stores this version in an OCI registry: `+` is not allowed in tags and becomes `_`.
    pub fn tag(&self) -> Tag {
        Tag::parse(self.0.replace('+', "_")).expect("a version without `+` is a valid tag")
    }

    /// Whether both are the same version, with or without `v` and trailing zeros. Build metadata counts.
    pub fn is_same(&self, other: &Self) -> bool {
        completed(&self.0) == completed(&other.0)
    }
}

/// The semantic version: without `v` and leading zeros, and with three numbers.
fn completed(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut numbers: Vec<&str> = core
        .split('.')
        .map(|number| match number.trim_start_matches('0') {
            "" if !number.is_empty() => "0",
            trimmed => trimmed,
        })
        .collect();
    numbers.resize(numbers.len().max(3), "0");
    format!("{}{rest}", numbers.join("."))
}

impl fmt::Display for ChartVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

string_conversions!(ChartVersion, ChartVersionError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_kept_as_others_write_them() {
        for text in [
            "4.15.1",
            "v1.18.2",
            "1.0",
            "v0.0.0",
            "1",
            "2.3.4+build.5",
            "2.3.4-rc.1+up1.2.3",
            "2024.01.5",
            "0.0.0-20240102030405",
            "1.0.0-rc.x",
        ] {
            let version = ChartVersion::parse(text).unwrap();
            assert_eq!(version.to_string(), text);
            assert_eq!(version.tag().as_str(), text.replace('+', "_"));
        }
    }

    #[test]
    fn ranges_and_other_texts_are_refused() {
        for range in [
            "^1.2.3",
            "~1",
            ">=1.0.0",
            "1.42.*",
            "1.x",
            "latest",
            "1.0.0 - 2.0.0",
        ] {
            let error = ChartVersion::parse(range).unwrap_err();
            assert!(matches!(error, ChartVersionError::Range { .. }), "{error}");
        }
        for text in [
            "",
            "v",
            "vv1.0.0",
            "1.2.3.4",
            "1..2",
            "one",
            "1.0.0+",
            "1.0.0/../x",
            "--version",
        ] {
            let error = ChartVersion::parse(text).unwrap_err();
            assert!(matches!(error, ChartVersionError::Syntax { .. }), "{error}");
            assert!(error.hint().contains("exactly"));
        }
        assert!(ChartVersion::parse("1".repeat(200)).is_err());
    }

    #[test]
    fn the_v_and_missing_numbers_make_no_other_version() {
        let same = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| ChartVersion::parse(text).unwrap());
            one.is_same(&other)
        };
        assert!(same("v1.18.2", "1.18.2") && same("1.0", "1.0.0") && same("01.2.0", "1.2"));
        assert!(!same("1.18.2", "1.18.2-rc.1") && !same("1.0.0+a", "1.0.0+b"));
    }
}
