//! Git tags that start a release: `<app>-<component>-v<semver>`.
//!
//! ```text
//! text --ReleaseTag::parse--> unit name + version --ReleaseUnits::get--> unit + version
//!              |                                           |
//!        ReleaseTagError                            UnknownUnit, both within UnresolvedTag, which lists the
//!                                                   tags that would have matched
//! ```
//!
//! **Why the split is unique.** Both a unit name and a pre-release may hold `-v1`. But a unit name has no dot, and a
//! semantic version has a dot right after its first number. So the first dot of a tag belongs to the version, the
//! digits before it are the major number, and `-v` must stand before these: there is one place to cut, whatever is
//! registered. Cutting there gives the same answer as trying every registered name and taking the longest that leaves
//! a version; the property tests compare the two.

use crate::excerpt::excerpt;
use crate::name_rule::NameError;
use crate::release_unit::{ReleaseUnit, ReleaseUnits};
use crate::string_value::string_conversions;
use crate::version::{Version, VersionError};

/// A git tag that has the form of a release, `harmony-fleet-operator-v0.3.1`; whether its unit exists is for
/// [`ReleaseTag::resolve`] to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseTag {
    unit: String,
    version: Version,
    text: String,
}

/// What a tag releases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResolvedRelease {
    /// The registered unit.
    pub unit: ReleaseUnit,
    /// The version that the tag asks for.
    pub version: Version,
}

/// Why a text is not a release tag, or which unit it names in vain; `tag` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseTagError {
    /// The text is empty.
    #[error("release tag is empty")]
    Empty,
    /// The text is longer than [`ReleaseTag::MAX_LENGTH`].
    #[error("release tag `{tag}` is {length} bytes long, {max} is the limit", max = ReleaseTag::MAX_LENGTH)]
    TooLong {
        /// The refused text.
        tag: String,
        /// Its bytes.
        length: usize,
    },
    /// The text is a full ref, not the name of a tag.
    #[error("release tag `{tag}` is a full git ref")]
    FullRef {
        /// The refused text.
        tag: String,
        /// The tag's name, where the ref is of a tag.
        name: Option<String>,
    },
    /// A character that no release tag has.
    #[error("release tag `{tag}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The refused text.
        tag: String,
        /// The character.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
    /// There is no `-v<semver>` at its end.
    #[error("release tag `{tag}` does not end in `-v` and a version")]
    NoVersion {
        /// The refused text.
        tag: String,
        /// The tag that seems to be meant, where there is one.
        suggestion: Option<String>,
    },
    /// Nothing stands before `-v<semver>`.
    #[error("release tag `{tag}` is a version without the name of what is released")]
    NoUnit {
        /// The refused text.
        tag: String,
    },
    /// What stands before `-v<semver>` cannot be the name of a unit.
    #[error("release tag `{tag}` has an illegal name before its version")]
    UnitName {
        /// The refused text.
        tag: String,
        /// What is wrong with the name.
        source: NameError,
    },
    /// What stands after `-v` is not a version.
    #[error("release tag `{tag}` has an illegal version")]
    Version {
        /// The refused text.
        tag: String,
        /// What is wrong with the version.
        source: VersionError,
    },
    /// The version is that of a work tree's content, which is never released.
    #[error("release tag `{tag}` has the version of a work tree, `{version}`")]
    WorkTree {
        /// The refused text.
        tag: String,
        /// The version.
        version: Version,
    },
    /// The tag has the right form, and its unit is not registered.
    #[error("release tag `{tag}` names the unit `{unit}`, which is not registered")]
    UnknownUnit {
        /// The refused text.
        tag: String,
        /// The name before `-v<semver>`.
        unit: String,
    },
}

impl ReleaseTagError {
    /// What to write instead, as far as the text alone tells; see [`UnresolvedTag::hint`] for the registered units.
    pub fn hint(&self) -> String {
        const FORM: &str = "write `<app>-<component>-v<semver>`, as in `my-app-server-v1.4.0`";
        match self {
            Self::FullRef {
                name: Some(name), ..
            } => format!("write `{name}`: the name of the tag alone"),
            Self::FullRef { name: None, .. } => format!("this is not a tag: {FORM}"),
            Self::NoVersion {
                suggestion: Some(suggestion),
                ..
            } => format!("did you mean `{suggestion}`?"),
            Self::TooLong { .. } => format!("shorten it to {} bytes", ReleaseTag::MAX_LENGTH),
            Self::UnitName { source, .. } => source.hint(),
            Self::Version { source, .. } => source.hint(),
            Self::WorkTree { .. } => {
                "use another pre-release than `dev.`, which marks what was deployed without a release".to_owned()
            }
            Self::Empty | Self::Character { .. } | Self::NoVersion { .. } | Self::NoUnit { .. } => {
                FORM.to_owned()
            }
            Self::UnknownUnit { .. } => {
                "use the name of a registered unit, or register this one as an AppSpec".to_owned()
            }
        }
    }
}

/// A tag that releases nothing, with the tags that would have: what `--from-tag` reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tag `{tag}` releases nothing")]
pub struct UnresolvedTag {
    /// The refused text as it may be shown.
    pub tag: String,
    /// What is wrong with it.
    #[source]
    pub reason: Box<ReleaseTagError>,
    /// The tags that would have matched, `<unit>-v<semver>` for each registered unit, nearest first.
    pub expected: Vec<String>,
}

impl UnresolvedTag {
    /// How many of [`UnresolvedTag::expected`] the hint names.
    pub const HINTED: usize = 8;

    /// What to write instead, and which tags would have matched.
    pub fn hint(&self) -> String {
        let advice = self.reason.hint();
        let named: Vec<_> = self
            .expected
            .iter()
            .take(Self::HINTED)
            .map(|tag| format!("`{tag}`"))
            .collect();
        if named.is_empty() {
            return format!("{advice}; no tag would match: nothing is registered for release");
        }
        let more = match self.expected.len() - named.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        format!("{advice}; tags that match: {}{more}", named.join(", "))
    }
}

impl ReleaseTag {
    /// The longest tag, in bytes: the longest unit name, `-v`, the longest version.
    pub const MAX_LENGTH: usize = ReleaseUnit::MAX_LENGTH + "-v".len() + Version::MAX_LENGTH;

    /// Reads the form of a release tag; which units exist plays no part.
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

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before `-v<semver>`: the name of a unit, registered or not.
    pub fn unit_name(&self) -> &str {
        &self.unit
    }

    /// The version that the tag asks for.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The registered unit of this tag, or the tags that would have matched.
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
    /// Reads `tag` and finds its unit: the whole way of `--from-tag`. Pure, and done before anything is built.
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
    // a stable sort: units at one distance stay ordered by name
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
    // `+` and upper case pass here: the version and the unit name say more about them
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

/// Where a tag is cut.
enum Split<'a> {
    /// Before and after `-v`; neither is checked yet.
    At { unit: &'a str, version: &'a str },
    /// A version, with or without `v`, and nothing before it.
    NoUnit,
    /// No `-v` that a version could follow.
    NoVersion,
}

/// Finds the one place where a legal tag can be cut; for an illegal one, the place that makes the best message.
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
    // no legal cut: the first `-v` that a number, or nothing, follows
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

/// The tag that `text` seems to mean: one with `v` missing, in upper case, or joined by another character.
fn suggest(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (before_dot, _) = lower.split_once('.')?;
    let before_major = before_dot.trim_end_matches(|c: char| c.is_ascii_digit());
    let version = &lower[before_major.len()..];
    let unit = before_major
        .trim_end_matches('v')
        .trim_end_matches(['-', '.']);
    let suggestion = format!("{unit}-v{version}");
    // not `parse`, which would ask for a suggestion again
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

/// The part of any text that was perhaps meant as a unit name, to compare with the registered ones.
fn meant_unit(text: &str) -> String {
    // longer text is as far from everything as this
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
