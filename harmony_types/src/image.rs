//! References to container images.

use std::fmt;

use crate::digest::{Digest, DigestError};
use crate::excerpt::excerpt;
use crate::registry_host::{RegistryHost, RegistryHostError};
use crate::repository::{Repository, RepositoryError};
use crate::string_value::string_conversions;
use crate::version::Version;

/// A container image with its full name: `<registry>/<repository>[:<tag>][@<digest>]`.
///
/// The grammar is that of the distribution reference without its implicit defaults. The registry is required: `nginx`
/// is refused, and the hint suggests `docker.io/library/nginx`. A reference without a tag has no tag; it does not mean
/// `latest`. If both a tag and a digest are present, the digest decides and the tag is informational.
///
/// ```
/// use harmony_types::{ImageRef, ImageRefError};
///
/// let image = ImageRef::parse("registry.example.com/harmony/fleet-operator:0.3.1")?;
/// assert_eq!(image.repository().name(), "fleet-operator");
/// assert_eq!(image.tag().map(|tag| tag.as_str()), Some("0.3.1"));
/// assert!(!image.is_pinned());
/// # Ok::<(), ImageRefError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    registry: RegistryHost,
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// The reason why a string is not a valid [`ImageRef`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// The string is empty.
    #[error("image reference is empty")]
    Empty,
    /// The string starts with a URL scheme.
    #[error("image reference `{value}` starts with the scheme `{scheme}`")]
    Scheme {
        /// The invalid string.
        value: String,
        /// The scheme, including `://`.
        scheme: String,
        /// The string without the scheme.
        stripped: String,
    },
    /// There is no registry host in front of the first `/`.
    #[error("image reference `{value}` has no registry")]
    NoRegistry {
        /// The invalid string.
        value: String,
        /// The full name that Docker would use for this string.
        docker_hub: String,
    },
    /// The registry host is not valid.
    #[error("image reference `{value}` has an invalid registry host")]
    Registry {
        /// The invalid string.
        value: String,
        /// The problem with the host.
        source: RegistryHostError,
    },
    /// The repository is not valid.
    #[error("image reference `{value}` has an invalid repository")]
    Repository {
        /// The invalid string.
        value: String,
        /// The problem with the repository.
        source: RepositoryError,
    },
    /// The tag is not valid.
    #[error("image reference `{value}` has an invalid tag")]
    Tag {
        /// The invalid string.
        value: String,
        /// The problem with the tag.
        source: TagError,
    },
    /// The digest is not valid.
    #[error("image reference `{value}` has an invalid digest")]
    Digest {
        /// The invalid string.
        value: String,
        /// The problem with the digest.
        source: DigestError,
    },
}

impl ImageRefError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "use the form `<registry>/<repository>:<tag>`, for example `registry.example.com/team/my-app:1.0.0`".to_owned(),
            Self::Scheme { stripped, .. } => format!("use `{stripped}`: image references have no scheme"),
            Self::NoRegistry { docker_hub, .. } => {
                format!("use the full name: `{docker_hub}` if the image is on Docker Hub")
            }
            Self::Registry { source, .. } => source.hint(),
            Self::Repository { source, .. } => source.hint(),
            Self::Tag { source, .. } => source.hint(),
            Self::Digest { source, .. } => source.hint(),
        }
    }
}

impl ImageRef {
    /// Creates a reference without tag or digest. Add them with [`with_tag`](Self::with_tag) and
    /// [`with_digest`](Self::with_digest).
    pub fn new(registry: RegistryHost, repository: Repository) -> Self {
        Self {
            registry,
            repository,
            tag: None,
            digest: None,
        }
    }

    /// Parses a full image reference.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, ImageRefError> {
        let text = value.as_ref();
        let value = || excerpt(text);
        if text.is_empty() {
            return Err(ImageRefError::Empty);
        }
        if let Some((scheme, stripped)) = text.split_once("://") {
            return Err(ImageRefError::Scheme {
                value: value(),
                scheme: excerpt(&format!("{scheme}://")),
                stripped: excerpt(stripped),
            });
        }
        let Some((registry, rest)) = text
            .split_once('/')
            .filter(|(first, _)| reads_as_host(first))
        else {
            return Err(ImageRefError::NoRegistry {
                value: value(),
                docker_hub: excerpt(&docker_hub_name(text)),
            });
        };
        let registry = RegistryHost::parse(registry).map_err(|source| ImageRefError::Registry {
            value: value(),
            source,
        })?;
        let (rest, digest) = split_optional(rest, '@');
        let (repository, tag) = split_optional(rest, ':');
        Ok(Self {
            registry,
            repository: Repository::parse(repository).map_err(|source| {
                ImageRefError::Repository {
                    value: value(),
                    source,
                }
            })?,
            tag: tag
                .map(Tag::parse)
                .transpose()
                .map_err(|source| ImageRefError::Tag {
                    value: value(),
                    source,
                })?,
            digest: digest.map(Digest::parse).transpose().map_err(|source| {
                ImageRefError::Digest {
                    value: value(),
                    source,
                }
            })?,
        })
    }

    /// The registry of the image.
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The path within the registry.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, if the reference has one.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `<registry>/<repository>`, without the tag and the digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The reference to request from the registry: the digest if there is one, otherwise the tag.
    pub fn reference(&self) -> Option<&str> {
        self.digest
            .as_ref()
            .map(Digest::as_str)
            .or_else(|| self.tag.as_ref().map(Tag::as_str))
    }

    /// The same image in another registry, such as a mirror or a local node.
    #[must_use]
    pub fn with_registry(mut self, registry: RegistryHost) -> Self {
        self.registry = registry;
        self
    }

    /// The same repository with this tag. The digest is removed, because it could belong to another tag.
    #[must_use]
    pub fn with_tag(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self.digest = None;
        self
    }

    /// The same reference with this digest. The tag is kept for information.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Returns true if the reference has a digest, so that its content cannot change.
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// The reference without its tag, `<registry>/<repository>@<digest>`, or `None` if there is no digest.
    pub fn pinned(&self) -> Option<Self> {
        self.digest.is_some().then(|| Self {
            tag: None,
            ..self.clone()
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

string_conversions!(ImageRef, ImageRefError);

/// The tag of an image: letters, digits, `_`, `.` and `-`, not starting with `.` or `-`.
///
/// Grammar: `<reference>` as a tag in the OCI distribution specification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// The reason why a string is not a valid [`Tag`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The string is empty.
    #[error("tag is empty")]
    Empty,
    /// The string is longer than [`Tag::MAX_LENGTH`].
    #[error("tag `{value}` is {length} bytes long, but the limit is {max}", max = Tag::MAX_LENGTH)]
    TooLong {
        /// The invalid string.
        value: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A character that is not allowed in a tag, or not as its first character.
    #[error("tag `{value}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The invalid string.
        value: String,
        /// The character.
        character: char,
        /// Its position, in characters from 1.
        position: usize,
    },
}

impl TagError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLong { .. } => format!("shorten it to {} bytes", Tag::MAX_LENGTH),
            Self::Character { character: '+', .. } => {
                "remove the build metadata: `+` is not allowed in a tag".to_owned()
            }
            _ => "use letters, digits, `_`, `.` and `-`, and start with a letter, digit or `_`, for example `1.0.0`".to_owned(),
        }
    }
}

impl Tag {
    /// The maximum length of a tag, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// Parses a tag.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, TagError> {
        let text = value.as_ref();
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(TagError::TooLong {
                value: excerpt(text),
                length: text.len(),
            });
        }
        let legal = |index: usize, c: char| {
            c.is_ascii_alphanumeric() || c == '_' || (index > 0 && matches!(c, '.' | '-'))
        };
        match text
            .chars()
            .enumerate()
            .find(|(index, c)| !legal(*index, *c))
        {
            None => Ok(Self(text.to_owned())),
            Some((index, character)) => Err(TagError::Character {
                value: excerpt(text),
                character,
                position: index + 1,
            }),
        }
    }

    /// The tag as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

string_conversions!(Tag, TagError, as_str);

/// A [`Version`] has no build metadata and respects the length limit of a tag, so it is a valid tag.
impl From<&Version> for Tag {
    fn from(version: &Version) -> Self {
        const { assert!(Version::MAX_LENGTH <= Tag::MAX_LENGTH) };
        Self(version.to_string())
    }
}

/// Decides whether the first part of a reference is a registry or a path component, as in the reference grammar. Text
/// that looks like a host but is not a valid one (upper case, an IPv6 address, a scheme) counts as a host, so that the
/// error is about the host.
fn reads_as_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':', '['])
        || first.contains(|c: char| c.is_ascii_uppercase())
}

fn docker_hub_name(text: &str) -> String {
    if text.contains('/') {
        format!("docker.io/{text}")
    } else {
        format!("docker.io/library/{text}")
    }
}

fn split_optional(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests;
