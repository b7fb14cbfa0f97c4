//! Git tags that start a release: `<app>-<component>-v<semver>`.
//!
//! ```text
//! text --ReleaseTag::parse--> unit name + version --ReleaseUnits::get--> unit + version
//!              |                                           |
//!        ReleaseTagError                            UnknownUnit, both within UnresolvedTag, which lists the
//!                                                   tags that would have matched
//! ```
//!
//! **Why there is only one way to split a tag.** Both a unit name and a pre-release version can contain `-v1`. But a
//! unit name has no dot, and a semantic version has a dot directly after its first number. So the first dot of the tag
//! belongs to the version, the digits before it are the major number, and `-v` must be directly in front of these
//! digits. This place does not depend on the registered units. The result is the same as trying every registered name
//! and taking the longest one that leaves a valid version; property tests compare the two.

use crate::excerpt::excerpt;
use crate::name_rule::NameError;
use crate::release_unit::{ReleaseUnit, ReleaseUnits};
use crate::string_value::string_conversions;
use crate::version::{Version, VersionError};

/// A git tag in the form of a release tag, such as `harmony-fleet-operator-v0.3.1`. [`ReleaseTag::resolve`] checks
/// whether its unit exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseTag {
    unit: String,
    version: Version,
    text: String,
}

/// The unit and the version that a tag releases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResolvedRelease {
    /// The registered unit.
    pub unit: ReleaseUnit,
    /// The version in the tag.
    pub version: Version,
}

/// The reason why a string is not a release tag, or does not match a registered unit. `tag` is the string, shortened
/// and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseTagError {
    /// The string is empty.
    #[error("release tag is empty")]
    Empty,
    /// The string is longer than [`ReleaseTag::MAX_LENGTH`].
    #[error("release tag `{tag}` is {length} bytes long, but the limit is {max}", max = ReleaseTag::MAX_LENGTH)]
    TooLong {
        /// The invalid string.
        tag: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The string is a full ref and not just the name of a tag.
    #[error("release tag `{tag}` is a full git ref")]
    FullRef {
        /// The invalid string.
        tag: String,
        /// The name of the tag, if the ref is a tag.
        name: Option<String>,
    },
    /// A character that is not allowed in a release tag.
    #[error("release tag `{tag}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The invalid string.
        tag: String,
        /// The character.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
    /// The string does not end with `-v<semver>`.
    #[error("release tag `{tag}` does not end with `-v` and a version")]
    NoVersion {
        /// The invalid string.
        tag: String,
        /// The tag that was probably meant, if there is one.
        suggestion: Option<String>,
    },
    /// There is nothing in front of `-v<semver>`.
    #[error("release tag `{tag}` is a version without the name of an app")]
    NoUnit {
        /// The invalid string.
        tag: String,
    },
    /// The text in front of `-v<semver>` is not a valid unit name.
    #[error("release tag `{tag}` has an invalid name before its version")]
    UnitName {
        /// The invalid string.
        tag: String,
        /// The problem with the name.
        source: NameError,
    },
    /// The text after `-v` is not a version.
    #[error("release tag `{tag}` has an invalid version")]
    Version {
        /// The invalid string.
        tag: String,
        /// The problem with the version.
        source: VersionError,
    },
    /// The version is that of a work tree, which cannot be released.
    #[error("release tag `{tag}` has the version of a work tree, `{version}`")]
    WorkTree {
        /// The invalid string.
        tag: String,
        /// The version.
        version: Version,
    },
    /// The tag has the correct form, but its unit is not registered.
    #[error("release tag `{tag}` names `{unit}`, which is not a registered app")]
    UnknownUnit {
        /// The invalid string.
        tag: String,
        /// The name in front of `-v<semver>`.
        unit: String,
    },
}

impl ReleaseTagError {
    /// Suggests a correction, based on the string alone. See [`UnresolvedTag::hint`] for suggestions based on the
    /// registered units.
    pub fn hint(&self) -> String {
        const FORM: &str =
            "use the form `<app>-<component>-v<semver>`, for example `my-app-server-v1.4.0`";
        match self {
            Self::FullRef {
                name: Some(name), ..
            } => format!("use only the name of the tag: `{name}`"),
            Self::FullRef { name: None, .. } => format!("this is not a tag: {FORM}"),
            Self::NoVersion {
                suggestion: Some(suggestion),
                ..
            } => format!("did you mean `{suggestion}`?"),
            Self::TooLong { .. } => format!("shorten it to {} bytes", ReleaseTag::MAX_LENGTH),
            Self::UnitName { source, .. } => source.hint(),
            Self::Version { source, .. } => source.hint(),
            Self::WorkTree { .. } => {
                "use another pre-release than `dev.`, which is reserved for deploys of a work tree"
                    .to_owned()
            }
            Self::Empty | Self::Character { .. } | Self::NoVersion { .. } | Self::NoUnit { .. } => {
                FORM.to_owned()
            }
            Self::UnknownUnit { .. } => {
                "use the name of a registered app, or add an AppSpec for this one".to_owned()
            }
        }
    }
}

/// A tag that does not match any unit, with the tags that would match: the error of `--from-tag`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tag `{tag}` does not match any app")]
pub struct UnresolvedTag {
    /// The tag, shortened and escaped for display.
    pub tag: String,
    /// The reason.
    #[source]
    pub reason: Box<ReleaseTagError>,
    /// The tags that would match, `<unit>-v<semver>` for each registered unit, the most similar first.
    pub expected: Vec<String>,
}

impl UnresolvedTag {
    /// The number of tags from [`UnresolvedTag::expected`] in the hint.
    pub const HINTED: usize = 8;

    /// Suggests a correction, and lists the tags that would match.
    pub fn hint(&self) -> String {
        let advice = self.reason.hint();
        let named: Vec<_> = self
            .expected
            .iter()
            .take(Self::HINTED)
            .map(|tag| format!("`{tag}`"))
            .collect();
        if named.is_empty() {
            return format!("{advice}; no tag matches, because no app is registered for release");
        }
        let more = match self.expected.len() - named.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        format!("{advice}; tags that match: {}{more}", named.join(", "))
    }
}

impl ReleaseTag {
    /// The maximum length of a tag, in bytes: the longest unit name, `-v`, the longest version.
    pub const MAX_LENGTH: usize = ReleaseUnit::MAX_LENGTH + "-v".len() + Version::MAX_LENGTH;

    /// Parses a release tag, independent of the registered units.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, ReleaseTagError> {
        let text = value.as_ref();
        let tag = || excerpt(text);
        check_text(text)?;
        let (unit, version) = match split(text) {
            Split::At { unit, version } => (unit, version),
            Split::NoUnit => return Err(ReleaseTagError::NoUnit { tag: tag() }),
            Split::NoVersion => {
                return Err(ReleaseTagError::NoVersion {
                    tag: tag(),
                    suggestion: suggest(text),
                });
            }
        };
        ReleaseUnit::RULE
            .check(unit)
            .map_err(|source| ReleaseTagError::UnitName { tag: tag(), source })?;
        let version = Version::parse(version)
            .map_err(|source| ReleaseTagError::Version { tag: tag(), source })?;
        if version.is_work_tree() {
            return Err(ReleaseTagError::WorkTree {
                tag: tag(),
                version,
            });
        }
        Ok(Self {
            unit: unit.to_owned(),
            version,
            text: text.to_owned(),
        })
    }

    /// The tag as a string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text in front of `-v<semver>`: the name of a unit that may or may not be registered.
    pub fn unit_name(&self) -> &str {
        &self.unit
    }

    /// The version in the tag.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Finds the registered unit of this tag. The error lists the tags that would match.
    pub fn resolve(&self, registered: &ReleaseUnits) -> Result<ResolvedRelease, UnresolvedTag> {
        let Some(unit) = registered.get(&self.unit) else {
            let reason = ReleaseTagError::UnknownUnit {
                tag: excerpt(&self.text),
                unit: self.unit.clone(),
            };
            return Err(unresolved(&self.text, reason, registered));
        };
        Ok(ResolvedRelease {
            unit: unit.clone(),
            version: self.version.clone(),
        })
    }
}

string_conversions!(ReleaseTag, ReleaseTagError, as_str);

impl ReleaseUnits {
    /// Parses `tag` and finds its unit, as `--from-tag` does. This function is pure and is called before anything is
    /// built.
    pub fn resolve(&self, tag: impl AsRef<str>) -> Result<ResolvedRelease, UnresolvedTag> {
        let tag = tag.as_ref();
        ReleaseTag::parse(tag)
            .map_err(|reason| unresolved(tag, reason, self))?
            .resolve(self)
    }
}

fn unresolved(tag: &str, reason: ReleaseTagError, registered: &ReleaseUnits) -> UnresolvedTag {
    let meant = meant_unit(tag);
    let mut nearest: Vec<_> = registered
        .iter()
        .map(|unit| (strsim::levenshtein(&meant, unit.as_str()), unit))
        .collect();
    // the sort is stable: units with the same distance stay sorted by name
    nearest.sort_by_key(|(distance, _)| *distance);
    UnresolvedTag {
        tag: excerpt(tag),
        reason: Box::new(reason),
        expected: nearest
            .into_iter()
            .map(|(_, unit)| unit.tag_pattern())
            .collect(),
    }
}

fn check_text(text: &str) -> Result<(), ReleaseTagError> {
    let tag = || excerpt(text);
    if text.is_empty() {
        return Err(ReleaseTagError::Empty);
    }
    if text.len() > ReleaseTag::MAX_LENGTH {
        return Err(ReleaseTagError::TooLong {
            tag: tag(),
            length: text.len(),
        });
    }
    if let Some(rest) = text.strip_prefix("refs/") {
        return Err(ReleaseTagError::FullRef {
            tag: tag(),
            name: rest.strip_prefix("tags/").map(excerpt),
        });
    }
    // `+` and upper case are allowed here, because the version and the unit name give better errors for them
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+');
    match text.chars().enumerate().find(|(_, c)| !legal(*c)) {
        None => Ok(()),
        Some((index, character)) => Err(ReleaseTagError::Character {
            tag: tag(),
            character,
            position: index + 1,
        }),
    }
}

/// Where to split a tag.
enum Split<'a> {
    /// The parts before and after `-v`, which are not validated yet.
    At { unit: &'a str, version: &'a str },
    /// A version, with or without `v`, and nothing in front of it.
    NoUnit,
    /// There is no `-v` that is followed by a version.
    NoVersion,
}

/// Finds the only place to split a valid tag. For an invalid tag, finds the place that gives the best error message.
fn split(text: &str) -> Split<'_> {
    let is_digit = |c: char| c.is_ascii_digit();
    if let Some((before_dot, _)) = text.split_once('.') {
        let before_major = before_dot.trim_end_matches(is_digit);
        if before_major.len() < before_dot.len() {
            match before_major {
                "" | "v" | "-v" => return Split::NoUnit,
                _ => {}
            }
            if let Some(unit) = before_major.strip_suffix("-v") {
                return Split::At {
                    unit,
                    version: &text[before_major.len()..],
                };
            }
        }
    }
    // not valid: use the first `-v` that is followed by a number or by nothing
    let mut candidates = text.match_indices("-v").filter(|(index, _)| {
        let rest = &text[index + 2..];
        rest.is_empty() || rest.starts_with(is_digit)
    });
    match candidates.next() {
        Some((0, _)) => Split::NoUnit,
        Some((index, _)) => Split::At {
            unit: &text[..index],
            version: &text[index + 2..],
        },
        None if text
            .strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(is_digit)) =>
        {
            Split::NoUnit
        }
        None => Split::NoVersion,
    }
}

/// The tag that `text` was probably meant to be: without `v`, in upper case, or with another separator.
fn suggest(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (before_dot, _) = lower.split_once('.')?;
    let before_major = before_dot.trim_end_matches(|c: char| c.is_ascii_digit());
    let version = &lower[before_major.len()..];
    let unit = before_major
        .trim_end_matches('v')
        .trim_end_matches(['-', '.']);
    let suggestion = format!("{unit}-v{version}");
    // `parse` would ask for a suggestion again
    let legal = match split(&suggestion) {
        Split::At { unit, version } => {
            suggestion.len() <= ReleaseTag::MAX_LENGTH
                && ReleaseUnit::RULE.check(unit).is_ok()
                && Version::parse(version).is_ok()
        }
        Split::NoUnit | Split::NoVersion => false,
    };
    legal.then_some(suggestion)
}

/// The part of the text that was probably meant as the unit name, for comparison with the registered units.
fn meant_unit(text: &str) -> String {
    // longer text has the same distance from every name
    let text: String = text.chars().take(2 * ReleaseUnit::MAX_LENGTH).collect();
    let text = text
        .strip_prefix("refs/tags/")
        .unwrap_or(&text)
        .to_ascii_lowercase();
    match split(&text) {
        Split::At { unit, .. } => unit.to_owned(),
        Split::NoUnit => String::new(),
        Split::NoVersion => {
            let name = text
                .split_once('.')
                .map_or(text.as_str(), |(before_dot, _)| before_dot);
            name.trim_end_matches(|c: char| {
                c.is_ascii_digit() || matches!(c, '-' | '_' | '/' | '@')
            })
            .to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
