//! References to container images.

use std::fmt;

use crate::digest::{Digest, DigestError};
use crate::excerpt::excerpt;
use crate::registry_host::{RegistryHost, RegistryHostError};
use crate::repository::{Repository, RepositoryError};
use crate::string_value::string_conversions;
use crate::version::Version;

/// A container image by its full name: `<registry>/<repository>[:<tag>][@<digest>]`.
///
/// The grammar is that of the distribution reference, without its silent defaults: the registry is always written
/// (`nginx` is refused, and the hint spells `docker.io/library/nginx`), and no tag means no tag, not `latest`.
/// Where both tag and digest are there, the digest decides and the tag is for people to read.
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

/// Why a text is not an [`ImageRef`]; `value` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// The text is empty.
    #[error("image reference is empty")]
    Empty,
    /// A URL scheme stands before the registry.
    #[error("image reference `{value}` begins with the scheme `{scheme}`")]
    Scheme {
        /// The refused text.
        value: String,
        /// The scheme with `://`.
        scheme: String,
        /// The text after it.
        stripped: String,
    },
    /// No registry host stands before the first `/`.
    #[error("image reference `{value}` names no registry")]
    NoRegistry {
        /// The refused text.
        value: String,
        /// The name that Docker would read into it.
        docker_hub: String,
    },
    /// The registry host is not legal.
    #[error("image reference `{value}` has an illegal registry host")]
    Registry {
        /// The refused text.
        value: String,
        /// What is wrong with the host.
        source: RegistryHostError,
    },
    /// The repository is not legal.
    #[error("image reference `{value}` has an illegal repository")]
    Repository {
        /// The refused text.
        value: String,
        /// What is wrong with the repository.
        source: RepositoryError,
    },
    /// The tag is not legal.
    #[error("image reference `{value}` has an illegal tag")]
    Tag {
        /// The refused text.
        value: String,
        /// What is wrong with the tag.
        source: TagError,
    },
    /// The digest is not legal.
    #[error("image reference `{value}` has an illegal digest")]
    Digest {
        /// The refused text.
        value: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
}

impl ImageRefError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "write `<registry>/<repository>:<tag>`, as in `registry.example.com/team/my-app:1.0.0`".to_owned(),
            Self::Scheme { stripped, .. } => format!("write `{stripped}`: images have no scheme"),
            Self::NoRegistry { docker_hub, .. } => {
                format!("write the full name: `{docker_hub}` if the image is on Docker Hub")
            }
            Self::Registry { source, .. } => source.hint(),
            Self::Repository { source, .. } => source.hint(),
            Self::Tag { source, .. } => source.hint(),
            Self::Digest { source, .. } => source.hint(),
        }
    }
}

impl ImageRef {
    /// The image repository itself, without tag or digest; add them by [`with_tag`](Self::with_tag) and
    /// [`with_digest`](Self::with_digest).
    pub fn new(registry: RegistryHost, repository: Repository) -> Self {
        Self {
            registry,
            repository,
            tag: None,
            digest: None,
        }
    }

    /// Reads a full image reference.
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

    /// The registry that has the image.
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The path within the registry.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, where one is written.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, where one is written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `<registry>/<repository>`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What a registry is asked for: the digest where there is one, else the tag, else nothing.
    pub fn reference(&self) -> Option<&str> {
        self.digest
            .as_ref()
            .map(Digest::as_str)
            .or_else(|| self.tag.as_ref().map(Tag::as_str))
    }

    /// The same image name under another registry, as a mirror or a local node has it.
    #[must_use]
    pub fn with_registry(mut self, registry: RegistryHost) -> Self {
        self.registry = registry;
        self
    }

    /// The same repository under this tag; a digest is dropped, for it may be of another tag.
    #[must_use]
    pub fn with_tag(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self.digest = None;
        self
    }

    /// The same reference bound to this digest; the tag stays, for people to read.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Whether the reference names content, not a tag that can move.
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// The reference by digest alone, `<registry>/<repository>@<digest>`; `None` without a digest.
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

/// The tag of an image: letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`.
///
/// Grammar: OCI distribution specification, `<reference>` as a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// Why a text is not a [`Tag`]; `value` is the refused text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The text is empty.
    #[error("tag is empty")]
    Empty,
    /// The text is longer than [`Tag::MAX_LENGTH`].
    #[error("tag `{value}` is {length} bytes long, {max} is the limit", max = Tag::MAX_LENGTH)]
    TooLong {
        /// The refused text.
        value: String,
        /// Its bytes.
        length: usize,
    },
    /// A character that no tag has, or that cannot be its first.
    #[error("tag `{value}` has `{shown}` at position {position}, which is not allowed", shown = character.escape_debug())]
    Character {
        /// The refused text.
        value: String,
        /// The character.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
}

impl TagError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLong { .. } => format!("shorten it to {} bytes", Tag::MAX_LENGTH),
            Self::Character { character: '+', .. } => {
                "leave the build metadata out: `+` cannot stand in a tag".to_owned()
            }
            _ => "write letters, digits, `_`, `.` and `-`, beginning with a letter, digit or `_`, as in `1.0.0`".to_owned(),
        }
    }
}

impl Tag {
    /// The longest tag, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// Checks a tag.
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

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

string_conversions!(Tag, TagError, as_str);

/// A [`Version`] has no build metadata and keeps the limit of a tag, so it is one as it stands.
impl From<&Version> for Tag {
    fn from(version: &Version) -> Self {
        const { assert!(Version::MAX_LENGTH <= Tag::MAX_LENGTH) };
        Self(version.to_string())
    }
}

/// The rule by which the reference grammar tells a registry from the first part of a path; a text that is meant as a
/// host but is not a legal one (upper case, an IPv6 address, a scheme) counts as a host, so that the error is about it.
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
