//! Semantic versions that are valid OCI tags.

use crate::digest::Digest;
use crate::excerpt::excerpt;
use crate::string_value::string_conversions;

/// A semantic version (2.0.0) without build metadata: the version of an image, a chart and a crate.
///
/// Build metadata is refused because `+` is not allowed in an OCI tag, and because semver considers two versions that
/// differ only in their build metadata equal although they are different artifacts. A leading `v` is part of git tags
/// and not of versions. Ordered by semver precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// The reason why a string is not a valid [`Version`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The string is empty.
    #[error("version is empty")]
    Empty,
    /// The string is longer than [`Version::MAX_LENGTH`].
    #[error("version `{value}` is {length} bytes long, but the limit is {max}", max = Version::MAX_LENGTH)]
    TooLong {
        /// The invalid string.
        value: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The string starts with `v`.
    #[error("version `{value}` starts with `v`")]
    LeadingV {
        /// The invalid string.
        value: String,
        /// The string without the `v`, if this is a version.
        suggestion: Option<String>,
    },
    /// The string has build metadata.
    #[error("version `{value}` has build metadata after `+` at position {position}")]
    BuildMetadata {
        /// The invalid string.
        value: String,
        /// The position of the `+`, in characters from 1.
        position: usize,
        /// The string up to the `+`, if this is a version.
        suggestion: Option<String>,
    },
    /// The string is not a semantic version.
    #[error("version `{value}` is not a semantic version: {problem}")]
    Syntax {
        /// The invalid string.
        value: String,
        /// The problem according to the semver grammar, and its position.
        problem: String,
        /// A similar version, if there is one.
        suggestion: Option<String>,
    },
}

impl VersionError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        const FORM: &str = "three numbers without leading zeros, for example `1.4.0`, optionally with a pre-release, for example \
         `1.4.0-rc.1`";
        match self {
            Self::Empty => format!("use {FORM}"),
            Self::TooLong { .. } => {
                format!(
                    "shorten it to {} bytes: a version is also used as an OCI tag",
                    Version::MAX_LENGTH
                )
            }
            Self::LeadingV {
                suggestion: Some(suggestion),
                ..
            } => {
                format!("use `{suggestion}`; the `v` is only used in git tags")
            }
            Self::BuildMetadata {
                suggestion: Some(suggestion),
                ..
            } => {
                format!(
                    "use `{suggestion}`: a version is also used as an OCI tag, where `+` is not allowed"
                )
            }
            Self::Syntax {
                suggestion: Some(suggestion),
                ..
            } => {
                format!("did you mean `{suggestion}`? use {FORM}")
            }
            Self::LeadingV { .. } | Self::BuildMetadata { .. } | Self::Syntax { .. } => {
                format!("use {FORM}")
            }
        }
    }
}

impl Version {
    /// The maximum length of a version, in bytes: that of an OCI tag.
    pub const MAX_LENGTH: usize = 128;

    /// A version without a pre-release part.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Parses a version.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, VersionError> {
        let text = value.as_ref();
        let value = || excerpt(text);
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(VersionError::TooLong {
                value: value(),
                length: text.len(),
            });
        }
        if text.starts_with(['v', 'V']) {
            return Err(VersionError::LeadingV {
                value: value(),
                suggestion: suggest(text),
            });
        }
        if let Some(index) = text.find('+') {
            let position = text[..index].chars().count() + 1;
            return Err(VersionError::BuildMetadata {
                value: value(),
                position,
                suggestion: suggest(text),
            });
        }
        match semver::Version::parse(text) {
            Ok(version) => Ok(Self(version)),
            Err(error) => Err(VersionError::Syntax {
                value: value(),
                problem: error.to_string(),
                suggestion: suggest(text),
            }),
        }
    }

    /// The major number, for breaking changes.
    pub fn major(&self) -> u64 {
        self.0.major
    }

    /// The minor number, for new features.
    pub fn minor(&self) -> u64 {
        self.0.minor
    }

    /// The patch number, for bug fixes.
    pub fn patch(&self) -> u64 {
        self.0.patch
    }

    /// The pre-release part without its `-`, or an empty string.
    pub fn pre_release(&self) -> &str {
        self.0.pre.as_str()
    }

    /// Returns true if there is a pre-release part.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The version for the content of a work tree: `base`, then `-dev.` and some digits of the content's digest, for
    /// example `0.1.0-dev.4dd02ac76d13`. Releases cannot have such a version; see [`Version::is_work_tree`].
    ///
    /// The digits are chosen so that they contain a letter, because semver does not allow numeric identifiers with
    /// leading zeros.
    pub fn of_work_tree(base: &Self, content: &Digest) -> Self {
        let hex = content.hex();
        let starts = 0..=hex.len() - Self::WORK_TREE_DIGITS;
        let digits = starts
            .map(|start| &hex[start..start + Self::WORK_TREE_DIGITS])
            .find(|digits| digits.bytes().any(|digit| digit.is_ascii_alphabetic()))
            .unwrap_or("a");
        let pre = format!("{}{digits}", Self::WORK_TREE);
        Self(semver::Version {
            pre: semver::Prerelease::new(&pre).expect("letters and digits"),
            ..base.0.clone()
        })
    }

    /// The placeholder version in a plan for a work tree that has not been built yet.
    pub fn of_unbuilt_work_tree(base: &Self) -> Self {
        let pre = format!("{}unbuilt", Self::WORK_TREE);
        Self(semver::Version {
            pre: semver::Prerelease::new(&pre).expect("letters and digits"),
            ..base.0.clone()
        })
    }

    /// Returns true if this is the version of a work tree and not of a release.
    pub fn is_work_tree(&self) -> bool {
        self.pre_release().starts_with(Self::WORK_TREE)
    }

    const WORK_TREE: &str = "dev.";
    const WORK_TREE_DIGITS: usize = 12;

    /// For use with a `semver` requirement (`VersionReq::matches`).
    pub fn as_semver(&self) -> &semver::Version {
        &self.0
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

string_conversions!(Version, VersionError);

impl TryFrom<semver::Version> for Version {
    type Error = VersionError;

    /// Refuses build metadata and versions longer than [`Version::MAX_LENGTH`].
    fn try_from(version: semver::Version) -> Result<Self, Self::Error> {
        Self::parse(version.to_string())
    }
}

impl From<Version> for semver::Version {
    fn from(version: Version) -> Self {
        version.0
    }
}

/// A version similar to `text`: without `v`, build metadata and leading zeros, and with missing numbers added.
fn suggest(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (text, None),
    };
    let mut numbers: Vec<&str> = core.split('.').collect();
    numbers.resize(numbers.len().max(3), "0");
    let mut suggestion = numbers
        .iter()
        .map(|number| match number.trim_start_matches('0') {
            "" if !number.is_empty() => "0",
            trimmed => trimmed,
        })
        .collect::<Vec<_>>()
        .join(".");
    if let Some(pre) = pre {
        suggestion.push('-');
        suggestion.push_str(pre);
    }
    let legal =
        suggestion.len() <= Version::MAX_LENGTH && semver::Version::parse(&suggestion).is_ok();
    legal.then_some(suggestion)
}

#[cfg(test)]
mod tests;
