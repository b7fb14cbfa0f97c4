use std::fmt;

use harmony_types::Repository;

use crate::error::ClientError;

/// The name of a Harbor project: one part of a repository path, at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProjectName(Repository);

impl ProjectName {
    /// The maximum length, in bytes (Harbor, `api/v2.0/swagger.yaml`, `ProjectReq`).
    pub const MAX_LENGTH: usize = Repository::MAX_LENGTH;

    /// Validates the name.
    ///
    /// # Errors
    /// [`ClientError::ProjectName`] says which rule is violated.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, ClientError> {
        let value = value.as_ref();
        let refused = |reason| ClientError::ProjectName {
            value: value
                .chars()
                .take(64)
                .collect::<String>()
                .escape_debug()
                .to_string(),
            reason,
        };
        if value.is_empty() {
            return Err(refused("it is empty"));
        }
        if value.contains('/') {
            return Err(refused("it has a `/`"));
        }
        Repository::parse(value)
            .map(Self)
            .map_err(|_| refused("it is too long or contains characters that are not allowed"))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_one_part_of_a_path() {
        for legal in ["fleet", "a", "team-1.x_y"] {
            assert_eq!(ProjectName::parse(legal).expect(legal).as_str(), legal);
        }
        for illegal in ["", "a/b", "Fleet", "-a", "a-", "a b", &"x".repeat(256)] {
            assert!(ProjectName::parse(illegal).is_err(), "{illegal}");
        }
    }
}
