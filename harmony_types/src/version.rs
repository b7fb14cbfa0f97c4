//! Semantic versions that can be OCI tags.

use crate::digest::Digest;
use crate::excerpt::excerpt;
use crate::string_value::string_conversions;

/// A semantic version (2.0.0) without build metadata: what a released image, chart and crate carry.
///
/// Build metadata is refused because `+` cannot stand in an OCI tag and because two versions that differ in it only
/// are equal to semver, yet would be two artefacts. A leading `v` belongs to git tags, not to versions.
/// Ordered by semver precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// Why a text is not a [`Version`]; `value` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is empty.
    #[error("version is empty")]
    Empty,
    /// The text is longer than [`Version::MAX_LENGTH`].
    #[error("version `{value}` is {length} bytes long, {max} is the limit", max = Version::MAX_LENGTH)]
    TooLong {
        /// The refused text.
        value: String,
        /// Its bytes.
        length: usize,
    },
    /// The text begins with `v`.
    #[error("version `{value}` begins with `v`")]
    LeadingV {
        /// The refused text.
        value: String,
        /// The text without it, where that is a version.
        suggestion: Option<String>,
    },
    /// The text has build metadata.
    #[error("version `{value}` has build metadata after `+` at position {position}")]
    BuildMetadata {
        /// The refused text.
        value: String,
        /// Where the `+` stands, in characters from 1.
        position: usize,
        /// The text up to it, where that is a version.
        suggestion: Option<String>,
    },
    /// The text is not semver.
    #[error("version `{value}` is not a semantic version: {problem}")]
    Syntax {
        /// The refused text.
        value: String,
        /// What the semver grammar misses, and where.
        problem: String,
        /// A version near the refused text, where there is one.
        suggestion: Option<String>,
    },
}

impl VersionError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        const FORM: &str = "three numbers without leading zeros, as in `1.4.0`, or with a pre-release, as in `1.4.0-rc.1`";
        match self {
            Self::Empty => format!("write {FORM}"),
            Self::TooLong { .. } => {
                format!(
                    "a version is also an OCI tag: shorten it to {} bytes",
                    Version::MAX_LENGTH
                )
            }
            Self::LeadingV {
                suggestion: Some(suggestion),
                ..
            } => {
                format!("write `{suggestion}`; the `v` belongs to git tags")
            }
            Self::BuildMetadata {
                suggestion: Some(suggestion),
                ..
            } => {
                format!(
                    "write `{suggestion}`: a version is also an OCI tag, and `+` cannot stand there"
                )
            }
            Self::Syntax {
                suggestion: Some(suggestion),
                ..
            } => {
                format!("did you mean `{suggestion}`? write {FORM}")
            }
            Self::LeadingV { .. } | Self::BuildMetadata { .. } | Self::Syntax { .. } => {
                format!("write {FORM}")
            }
        }
    }
}

impl Version {
    /// The longest version, in bytes: the longest OCI tag.
    pub const MAX_LENGTH: usize = 128;

    /// A release version without pre-release part.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Reads a version; errors name what is wrong with it.
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

    /// The major number: breaking changes.
    pub fn major(&self) -> u64 {
        self.0.major
    }

    /// The minor number: additions.
    pub fn minor(&self) -> u64 {
        self.0.minor
    }

    /// The patch number: repairs.
    pub fn patch(&self) -> u64 {
        self.0.patch
    }

    /// The pre-release part without its `-`; empty for a release.
    pub fn pre_release(&self) -> &str {
        self.0.pre.as_str()
    }

    /// Whether there is a pre-release part.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The version of a work tree's content: `base`, then `-dev.` and the first digits of the content's digest, as in
    /// `0.1.0-dev.4dd02ac76d13`. No release has such a version, see [`Version::is_work_tree`].
    ///
    /// Digits are taken from where a letter is among them: semver refuses an all-numeric identifier with leading zeros.
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

    /// What a plan calls the version of a work tree's content that is not built yet.
    pub fn of_unbuilt_work_tree(base: &Self) -> Self {
        let pre = format!("{}unbuilt", Self::WORK_TREE);
        Self(semver::Version {
            pre: semver::Prerelease::new(&pre).expect("letters and digits"),
            ..base.0.clone()
        })
    }

    /// Whether it names the content of a work tree instead of a release.
    pub fn is_work_tree(&self) -> bool {
        self.pre_release().starts_with(Self::WORK_TREE)
    }

    const WORK_TREE: &str = "dev.";
    const WORK_TREE_DIGITS: usize = 12;

    /// For a `semver` requirement (`VersionReq::matches`).
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

    /// Refuses build metadata and versions over [`Version::MAX_LENGTH`].
    fn try_from(version: semver::Version) -> Result<Self, Self::Error> {
        Self::parse(version.to_string())
    }
}

impl From<Version> for semver::Version {
    fn from(version: Version) -> Self {
        version.0
    }
}

/// A version near `text`: without `v`, build metadata and leading zeros, with the missing numbers.
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
