//! Storing and finding container images, and the errors of all registries.

use std::fmt;
use std::sync::Arc;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::{
    ChartName, ChartRef, Digest, ImageRef, RegistryHost, ReleaseUnit, Repository, RepositoryError,
    Tag, Version,
};
use serde::Serialize;

use crate::codes;
use crate::context::Cancelled;
use crate::diagnostic::{AnyDiagnostic, BoxError, Diagnostic, FailureKind, Origin};
use crate::image::Built;
use crate::outcome::Change;

/// Stores and finds container images. Providers: any OCI registry, Harbor, the image store of a local node.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` has no registry for container images",
    label = "this topology lacks the capability `OciRegistry`",
    note = "give `{Self}` a registry, for example `harmony_registry::OciRegistryClient`, and delegate `OciRegistry` to it"
)]
pub trait OciRegistry: Send + Sync {
    /// Publishes the image as `to`. Uploads only what is not in the registry yet.
    ///
    /// The tag is written last and never changes: the same content is accepted, different content is a
    /// [`RegistryError::TagTaken`]. For a predicted image (while planning), only reports what would happen.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError>;

    /// The digest that `image` currently refers to; `None` if the image does not exist.
    ///
    /// # Errors
    /// See [`RegistryError`]. A missing image is not an error.
    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError>;

    /// The address of this registry, and the path of our images in it.
    fn registry_url(&self) -> &RegistryLocation;
}

/// Shared by the parts of a topology that store images and those that deliver charts.
#[async_trait]
impl<R: OciRegistry + ?Sized> OciRegistry for Arc<R> {
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError> {
        (**self).push_image(image, to).await
    }

    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        (**self).resolve_image(image).await
    }

    fn registry_url(&self) -> &RegistryLocation {
        (**self).registry_url()
    }
}

/// The result of pushing an image or a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The change that was or would be made.
    pub change: Change,
    /// The digest of the manifest; `None` only when planning something that has not been built yet.
    pub digest: Option<Digest>,
}

/// A registry, and the path of our images and charts in it: `registry.example.com/project`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryLocation {
    host: RegistryHost,
    project: Option<Repository>,
}

impl RegistryLocation {
    /// The maximum length of a project path, in bytes. It leaves room for the name of every release unit.
    pub const MAX_PROJECT_LENGTH: usize = Repository::MAX_LENGTH
        - "/".len()
        - longest(Self::CHARTS.len(), Self::RELEASES.len())
        - "/".len()
        - ReleaseUnit::MAX_LENGTH;

    /// The path of charts below the project. An image and a chart of a unit have the same name and version, so they
    /// need different repositories.
    pub const CHARTS: &str = "charts";

    /// The path of the objects of charts below the project.
    pub const OBJECTS: &str = "objects";

    /// The path of release records below the project.
    pub const RELEASES: &str = "releases";

    /// The location for images and charts below `project`, or at the root of the registry.
    ///
    /// # Errors
    /// The project is longer than [`Self::MAX_PROJECT_LENGTH`].
    pub fn new(host: RegistryHost, project: Option<Repository>) -> Result<Self, RepositoryError> {
        if let Some(project) = &project
            && project.as_str().len() > Self::MAX_PROJECT_LENGTH
        {
            return Err(RepositoryError::TooLong {
                value: project.to_string(),
                length: project.as_str().len(),
            });
        }
        Ok(Self { host, project })
    }

    /// The host and port.
    pub fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// The path in front of every name; `None` for the root of the registry.
    pub fn project(&self) -> Option<&Repository> {
        self.project.as_ref()
    }

    /// The reference of a unit's image with this version.
    pub fn image(&self, unit: &ReleaseUnit, version: &Version) -> ImageRef {
        let repository = match &self.project {
            Some(project) => project
                .join(unit.as_str())
                .expect("`new` left room for the name of every unit"),
            None => Repository::from(unit),
        };
        ImageRef::new(self.host.clone(), repository).with_tag(Tag::from(version))
    }

    /// The reference of a unit's chart with this version.
    pub fn chart(&self, unit: &ReleaseUnit, version: &Version) -> ChartRef {
        let charts = self.below(Self::CHARTS);
        ChartRef::new(
            self.host.clone(),
            Some(charts),
            ChartName::from(unit),
            version.clone(),
        )
        .expect("`new` left room for the name of every unit")
    }

    /// The reference of a unit's release record; it refers to an artifact and not to an image.
    pub fn record(&self, unit: &ReleaseUnit, version: &Version) -> ImageRef {
        let repository = self.below(Self::RELEASES).join(unit.as_str());
        let repository = repository.expect("`new` left room for the name of every unit");
        ImageRef::new(self.host.clone(), repository).with_tag(Tag::from(version))
    }

    /// The reference of the objects of a chart; `None` for a chart that is not in a folder of charts. It refers to an
    /// artifact and not to an image.
    pub fn objects(chart: &ChartRef) -> Option<ImageRef> {
        let charts = chart.project()?;
        let folder = match (charts.name(), charts.parent()) {
            (Self::CHARTS, Some(project)) => project.join(Self::OBJECTS),
            (Self::CHARTS, None) => Self::OBJECTS.parse(),
            _ => return None,
        };
        let repository = folder.and_then(|folder| folder.join(chart.name().as_str()));
        let name = ImageRef::new(chart.registry().clone(), repository.ok()?);
        Some(name.with_tag(Tag::from(chart.version())))
    }

    fn below(&self, folder: &str) -> Repository {
        let path = match &self.project {
            Some(project) => project.join(folder),
            None => folder.parse(),
        };
        path.expect("`new` left room for it")
    }
}

const fn longest(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

impl fmt::Display for RegistryLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.project {
            Some(project) => write!(f, "{}/{project}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// An error of a registry. `registry` is its host and port.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry does not answer: connection refused, unknown host, time-out.
    #[error("the registry `{registry}` cannot be reached")]
    Unreachable {
        /// The registry.
        registry: RegistryHost,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The certificate is not trusted.
    #[error("the certificate of the registry `{registry}` is not trusted")]
    UntrustedCertificate {
        /// The registry.
        registry: RegistryHost,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The registry refuses the login or the operation.
    #[error("the registry `{registry}` denied access while {operation}")]
    Denied {
        /// The registry.
        registry: RegistryHost,
        /// The operation as a gerund, such as `pushing to fleet/operator`.
        operation: String,
        /// The source of the credentials, or the fact that there are none; never the credentials.
        credentials: String,
        /// The answer of the registry, if it contains more than a denial.
        answer: Option<String>,
    },
    /// The version is already published with different content.
    #[error("`{reference}` is already published with different content")]
    TagTaken {
        /// The reference of the version.
        reference: String,
        /// The digest in the registry.
        published: Digest,
        /// The digest of the content to push.
        ours: Digest,
    },
    /// The registry answered with an error or an invalid response.
    #[error("the registry `{registry}` failed while {operation}: {answer}")]
    Answer {
        /// The registry.
        registry: RegistryHost,
        /// The operation.
        operation: String,
        /// The status and message of the response.
        answer: String,
    },
    /// There is no space left, because of a quota or a full disk.
    #[error("no space left for {what} in `{registry}`")]
    NoSpace {
        /// The registry or node.
        registry: RegistryHost,
        /// What should be stored.
        what: String,
        /// The answer of the registry.
        answer: String,
    },
    /// The image or chart to push has been deleted or damaged.
    #[error("cannot read {what}")]
    Local {
        /// The image or chart.
        what: String,
        /// The underlying error.
        #[source]
        source: BoxError,
    },
    /// The image or chart does not exist.
    #[error("`{reference}` does not exist")]
    NotFound {
        /// Its reference.
        reference: String,
    },
    /// Another error of the adapter.
    #[error(transparent)]
    Adapter(AnyDiagnostic),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Diagnostic for RegistryError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Unreachable { .. } => Origin::Own(codes::REGISTRY_UNREACHABLE),
            Self::UntrustedCertificate { .. } => Origin::Own(codes::REGISTRY_UNTRUSTED),
            Self::Denied { .. } => Origin::Own(codes::REGISTRY_DENIED),
            Self::TagTaken { .. } => Origin::Own(codes::VERSION_TAKEN),
            Self::Answer { .. } => Origin::Own(codes::REGISTRY_ANSWER),
            Self::NoSpace { .. } => Origin::Own(codes::REGISTRY_FULL),
            Self::Local { .. } => Origin::Own(codes::BUILT_UNREADABLE),
            Self::NotFound { .. } => Origin::Own(codes::NOT_IN_REGISTRY),
            Self::Adapter(error) => Origin::Inner(error),
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::TagTaken { .. } => FailureKind::Refused,
            _ => FailureKind::Failed,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::TagTaken {
                published, ours, ..
            } => vec![
                format!("published: {published}"),
                format!("ours:      {ours}"),
            ],
            Self::Denied {
                credentials,
                answer,
                ..
            } => {
                let answer = answer
                    .as_ref()
                    .map(|answer| format!("it answered: {answer}"));
                let credentials = Some(format!("credentials: {credentials}"));
                [credentials, answer].into_iter().flatten().collect()
            }
            Self::NoSpace { answer, .. } => vec![format!("it answered: {answer}")],
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unreachable { registry, .. } => vec![
                format!(
                    "check the name and that `https://{registry}/v2/` answers from this machine"
                ),
                "run the same command again; content that was already uploaded is not uploaded again".into(),
            ],
            Self::UntrustedCertificate { .. } => vec![
                "set HARMONY_REGISTRY_CA to the PEM file of the certificate authority that signed it".into(),
                "or add this authority to the trust store of this machine".into(),
            ],
            Self::Denied { registry, .. } => vec![
                format!(
                    "log in with `docker login {registry}`, or set HARMONY_REGISTRY_USER and HARMONY_REGISTRY_PASSWORD"
                ),
                "check that this user is allowed to push to this path".into(),
            ],
            Self::TagTaken { .. } => vec![
                "a published version never changes: increase the version and tag again".into(),
                "or check out the commit that was published".into(),
            ],
            Self::Answer { .. } => vec![
                "run the same command again; if the error persists, look at the log of the registry".into(),
            ],
            Self::NoSpace { .. } => {
                vec!["free some space or increase the quota, then run the same command again".into()]
            }
            Self::Local { .. } => vec!["build it again".into()],
            Self::NotFound { .. } => vec!["check the version, or release it first".into()],
            Self::Adapter(_) | Self::Cancelled(_) => Vec::new(),
        }
    }
}
