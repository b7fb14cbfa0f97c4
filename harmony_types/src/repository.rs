//! The path of an image or chart within a registry.

use crate::excerpt::excerpt;
use crate::name_rule::{Fault, path_component};
use crate::names::AppName;
use crate::string_value::string_conversions;

/// Path within a registry, `harmony/fleet-operator`: components of lower-case letters and digits, joined by `/`.
///
/// Grammar: distribution reference, `path`; the registry host is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// Why a text is not a [`Repository`]; `value` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    /// The text is empty.
    #[error("repository is empty")]
    Empty,
    /// The text is longer than [`Repository::MAX_LENGTH`].
    #[error("repository `{value}` is {length} bytes long, {max} is the limit", max = Repository::MAX_LENGTH)]
    TooLong {
        /// The refused text.
        value: String,
        /// Its bytes.
        length: usize,
    },
    /// A character that no repository has.
    #[error("repository `{value}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The refused text.
        value: String,
        /// The character.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
    /// A separator at an end or beside another one.
    #[error(
        "repository `{value}` has `{character}` at position {position}, where a letter or digit is needed"
    )]
    Misplaced {
        /// The refused text.
        value: String,
        /// The separator.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
}

impl RepositoryError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        const FORM: &str = "write components of lower-case letters and digits, which `.`, `_`, `__` or `-` may join, \
             with `/` between components, as in `team/my-app`";
        match self {
            Self::Character {
                character, value, ..
            } if character.is_uppercase() => {
                format!(
                    "write `{}`: repositories are lower case",
                    value.to_lowercase()
                )
            }
            Self::TooLong { .. } => format!("shorten it to {} bytes", Repository::MAX_LENGTH),
            _ => FORM.to_owned(),
        }
    }
}

impl Repository {
    /// The longest repository, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// A repository of one path component, for names that are one by their own rule.
    pub(crate) fn of_component(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Reads components joined by `/`.
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
                // a path component has no limit of its own and needs no letter
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

    /// This repository with `path` (one component or more) below it.
    pub fn join(&self, path: impl AsRef<str>) -> Result<Self, RepositoryError> {
        Self::parse(format!("{}/{}", self.0, path.as_ref()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components between `/`, at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The components before the last, where there are any: the project of a registry such as Harbor.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.to_owned()))
    }
}

string_conversions!(Repository, RepositoryError, as_str);

/// A DNS label is a path component.
impl From<&AppName> for Repository {
    fn from(name: &AppName) -> Self {
        Self::of_component(name.as_str())
    }
}

#[cfg(test)]
mod tests;
