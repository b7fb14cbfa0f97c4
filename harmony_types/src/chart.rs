//! References to Helm charts in OCI registries.

use std::fmt;

use crate::digest::{Digest, DigestError};
use crate::excerpt::excerpt;
use crate::image::{ImageRef, Tag};
use crate::name_rule::{Grammar, NameError, NameRule};
use crate::registry_host::{RegistryHost, RegistryHostError};
use crate::release_unit::ReleaseUnit;
use crate::repository::{Repository, RepositoryError};
use crate::string_value::string_conversions;
use crate::version::{Version, VersionError};

/// A Helm chart in an OCI registry: `oci://<registry>/[<project>/]<name>:<version>[@<digest>]`.
///
/// The version is also the tag and is always present. Charts whose version has build metadata (Helm writes its `+` as
/// `_`) are not supported; see [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChartRef {
    registry: RegistryHost,
    project: Option<Repository>,
    name: ChartName,
    version: Version,
    digest: Option<Digest>,
}

/// The name of a chart: the `name` in its `Chart.yaml` and the last component of its path.
///
/// Helm allows 250 bytes. The grammar is that of a path component, because otherwise the chart could not be pushed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChartName(String);

/// The reason why a string is not a valid [`ChartRef`]. `value` is the string, shortened and escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChartRefError {
    /// The string does not start with `oci://`.
    #[error("chart reference `{value}` does not start with `oci://`")]
    NoScheme {
        /// The invalid string.
        value: String,
        /// The string with its scheme replaced by `oci://`.
        suggestion: String,
    },
    /// The string has no `/` after the registry, or nothing after it.
    #[error("chart reference `{value}` has no chart name")]
    NoName {
        /// The invalid string.
        value: String,
    },
    /// The string has no `:<version>` after the name.
    #[error("chart reference `{value}` has no version")]
    NoVersion {
        /// The invalid string.
        value: String,
    },
    /// The registry host is not valid.
    #[error("chart reference `{value}` has an invalid registry host")]
    Registry {
        /// The invalid string.
        value: String,
        /// The problem with the host.
        source: RegistryHostError,
    },
    /// The project, or the project and the name together, are not valid.
    #[error("chart reference `{value}` has an invalid path")]
    Project {
        /// The invalid string.
        value: String,
        /// The problem with the path.
        source: RepositoryError,
    },
    /// The chart name is not valid.
    #[error("chart reference `{value}` has an invalid chart name")]
    Name {
        /// The invalid string.
        value: String,
        /// The problem with the name.
        source: NameError,
    },
    /// The version is not valid.
    #[error("chart reference `{value}` has an invalid version")]
    Version {
        /// The invalid string.
        value: String,
        /// The problem with the version.
        source: VersionError,
    },
    /// The digest is not valid.
    #[error("chart reference `{value}` has an invalid digest")]
    Digest {
        /// The invalid string.
        value: String,
        /// The problem with the digest.
        source: DigestError,
    },
}

impl ChartRefError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        match self {
            Self::NoScheme { suggestion, .. } => {
                format!("use `{suggestion}`: only charts in OCI registries are supported")
            }
            Self::NoName { .. } | Self::NoVersion { .. } => {
                "use the form `oci://<registry>/<project>/<name>:<version>`, for example \
                 `oci://registry.example.com/team/my-app:1.0.0`"
                    .to_owned()
            }
            Self::Registry { source, .. } => source.hint(),
            Self::Project { source, .. } => source.hint(),
            Self::Name { source, .. } => source.hint(),
            Self::Version { source, .. } => source.hint(),
            Self::Digest { source, .. } => source.hint(),
        }
    }
}

impl ChartRef {
    /// The scheme of every chart reference.
    pub const SCHEME: &'static str = "oci://";

    /// Creates a reference. Fails only if the project and the name together exceed [`Repository::MAX_LENGTH`].
    pub fn new(
        registry: RegistryHost,
        project: Option<Repository>,
        name: ChartName,
        version: Version,
    ) -> Result<Self, RepositoryError> {
        if let Some(project) = &project {
            project.join(&name)?;
        }
        Ok(Self {
            registry,
            project,
            name,
            version,
            digest: None,
        })
    }

    /// Parses a full chart reference.
    pub fn parse(value: impl AsRef<str>) -> Result<Self, ChartRefError> {
        let text = value.as_ref();
        let value = || excerpt(text);
        let Some(rest) = text.strip_prefix(Self::SCHEME) else {
            let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
            let suggestion = excerpt(&format!("{}{bare}", Self::SCHEME));
            return Err(ChartRefError::NoScheme {
                value: value(),
                suggestion,
            });
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let Some((registry, path)) = rest.split_once('/') else {
            return Err(ChartRefError::NoName { value: value() });
        };
        let registry = RegistryHost::parse(registry).map_err(|source| ChartRefError::Registry {
            value: value(),
            source,
        })?;
        let Some((path, version)) = path.split_once(':') else {
            return Err(ChartRefError::NoVersion { value: value() });
        };
        let (project, name) = match path.rsplit_once('/') {
            Some((project, name)) => (Some(project), name),
            None => (None, path),
        };
        if name.is_empty() {
            return Err(ChartRefError::NoName { value: value() });
        }
        let project = project
            .map(Repository::parse)
            .transpose()
            .map_err(|source| ChartRefError::Project {
                value: value(),
                source,
            })?;
        let name = ChartName::parse(name).map_err(|source| ChartRefError::Name {
            value: value(),
            source,
        })?;
        let version = Version::parse(version).map_err(|source| ChartRefError::Version {
            value: value(),
            source,
        })?;
        let chart = Self::new(registry, project, name, version).map_err(|source| {
            ChartRefError::Project {
                value: value(),
                source,
            }
        })?;
        match digest {
            None => Ok(chart),
            Some(digest) => Digest::parse(digest)
                .map(|digest| chart.with_digest(digest))
                .map_err(|source| ChartRefError::Digest {
                    value: value(),
                    source,
                }),
        }
    }

    /// The registry of the chart.
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The path in front of the chart name, if there is one.
    pub fn project(&self) -> Option<&Repository> {
        self.project.as_ref()
    }

    /// The name of the chart.
    pub fn name(&self) -> &ChartName {
        &self.name
    }

    /// The version of the chart, which is also its tag.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The digest of the chart's manifest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The whole path within the registry: project and name.
    pub fn repository(&self) -> Repository {
        let name = Repository::from(&self.name);
        match &self.project {
            // `new` has checked that the joined path is valid
            Some(project) => project.join(&self.name).unwrap_or(name),
            None => name,
        }
    }

    /// The same reference with this digest.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The reference as used by registry clients, which store charts like images.
    pub fn as_artifact(&self) -> ImageRef {
        let artifact = ImageRef::new(self.registry.clone(), self.repository())
            .with_tag(Tag::from(&self.version));
        match &self.digest {
            Some(digest) => artifact.with_digest(digest.clone()),
            None => artifact,
        }
    }
}

impl fmt::Display for ChartRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}/", Self::SCHEME, self.registry)?;
        if let Some(project) = &self.project {
            write!(formatter, "{project}/")?;
        }
        write!(formatter, "{}:{}", self.name, self.version)?;
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

string_conversions!(ChartRef, ChartRefError);

impl ChartName {
    /// The maximum length of a chart name, in bytes.
    pub const MAX_LENGTH: usize = 250;

    /// The rule for all values of this type.
    pub const RULE: &'static NameRule =
        &NameRule::new("chart name", Self::MAX_LENGTH, Grammar::PathComponent);

    /// Parses a name according to [`Self::RULE`].
    pub fn parse(value: impl AsRef<str>) -> Result<Self, NameError> {
        let value = value.as_ref();
        Self::RULE.check(value)?;
        Ok(Self(value.to_owned()))
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

string_conversions!(ChartName, NameError, as_str);

/// A chart name is a valid path component, and shorter than the limit of a repository.
impl From<&ChartName> for Repository {
    fn from(name: &ChartName) -> Self {
        Self::of_component(name.as_str())
    }
}

/// The name of a unit is a DNS label, and every DNS label is a valid chart name.
impl From<&ReleaseUnit> for ChartName {
    fn from(unit: &ReleaseUnit) -> Self {
        Self(unit.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests;
