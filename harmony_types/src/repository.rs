//! The path of an image or chart within a registry.

use crate::excerpt::excerpt;
use crate::name_rule::{Fault, path_component};
use crate::names::AppName;
use crate::string_value::string_conversions;

/// A path in a registry, such as `harmony/fleet-operator`: components of lower-case letters and digits, separated by
/// `/`.
///
/// Grammar: `path` of the distribution reference. It does not include the registry host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// The reason why a string is not a valid [`Repository`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    /// The string is empty.
    #[error("repository is empty")]
    Empty,
    /// The string is longer than [`Repository::MAX_LENGTH`].
    #[error("repository `{value}` is {length} bytes long, but the limit is {max}", max = Repository::MAX_LENGTH)]
    TooLong {
        /// The invalid string.
        value: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A character that is not allowed in a repository.
    #[error("repository `{value}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The invalid string.
        value: String,
        /// The character.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
    /// A separator at the start or end, or next to another one.
    #[error(
        "repository `{value}` has `{character}` at position {position}, where a letter or digit is required"
    )]
    Misplaced {
        /// The invalid string.
        value: String,
        /// The separator.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
}

impl RepositoryError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        const FORM: &str = "use components of lower-case letters and digits, joined by `.`, `_`, `__` or `-` and separated by `/`, \
         for example `team/my-app`";
        match self {
            Self::Character {
                character, value, ..
            } if character.is_uppercase() => {
                format!(
                    "use `{}`: repositories are lower case",
                    value.to_lowercase()
                )
            }
            Self::TooLong { .. } => format!("shorten it to {} bytes", Repository::MAX_LENGTH),
            _ => FORM.to_owned(),
        }
    }
}

impl Repository {
    /// The maximum length of a repository, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Creates a repository from a name that is a valid path component.
    pub(crate) fn of_component(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Parses components separated by `/`.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, RepositoryError> {
        let text = value.as_ref();
        if text.is_empty() {
            return Err(RepositoryError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(RepositoryError::TooLong {
                value: excerpt(text),
                length: text.len(),
            });
        }
        let mut offset = 0;
        for component in text.split('/') {
            if component.is_empty() {
                return Err(RepositoryError::Misplaced {
                    value: excerpt(text),
                    character: '/',
                    position: offset.max(1),
                });
            }
            path_component(component, offset).map_err(|fault| match fault {
                Fault::Misplaced {
                    character,
                    position,
                } => RepositoryError::Misplaced {
                    value: excerpt(text),
                    character,
                    position,
                },
                Fault::Character {
                    character,
                    position,
                } => RepositoryError::Character {
                    value: excerpt(text),
                    character,
                    position,
                },
                // a path component has no length limit of its own and does not need a letter
                Fault::TooLong { length, .. } => RepositoryError::TooLong {
                    value: excerpt(text),
                    length,
                },
                Fault::NoLetter => RepositoryError::Empty,
            })?;
            offset += component.chars().count() + 1;
        }
        Ok(Self(text.to_owned()))
    }

    /// This repository followed by `path`, which has one or more components.
    pub fn join(&self, path: impl AsRef<str>) -> Result<Self, RepositoryError> {
        Self::parse(format!("{}/{}", self.0, path.as_ref()))
    }

    /// The path as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components between the `/`; there is at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// All components except the last, if there are any: the project in a registry such as Harbor.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.to_owned()))
    }
}

string_conversions!(Repository, RepositoryError, as_str);

/// Every DNS label is a valid path component.
impl From<&AppName> for Repository {
    fn from(name: &AppName) -> Self {
        Self::of_component(name.as_str())
    }
}

#[cfg(test)]
mod tests;
