//! Storing and finding container images, and the errors that all registries share.

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

/// Can take and find container images. Providers: any OCI registry, Harbor, the image store of a local node.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` has no registry for container images",
    label = "this topology lacks the capability `OciRegistry`",
    note = "give `{Self}` a registry, for example `harmony_registry::OciRegistryClient`, and delegate `OciRegistry` to it"
)]
pub trait OciRegistry: Send + Sync {
    /// Makes the image available under `to`, sending only what is not there yet.
    ///
    /// The tag is written last and never changed: the same content is accepted silently, other content is
    /// [`RegistryError::TagTaken`]. With a predicted image (planning) it only says what would happen.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError>;

    /// The digest that `image` stands for now; `None` when there is no such image.
    ///
    /// # Errors
    /// See [`RegistryError`]; a missing image is not one.
    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError>;

    /// Where this registry is, and under which path it keeps our images.
    fn registry_url(&self) -> &RegistryLocation;
}

/// Shared by the parts of a topology that store images and that deliver charts.
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

/// What came of pushing an image or a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What was, or would be, done.
    pub change: Change,
    /// The digest of the manifest; `None` only when planning what is not built yet.
    pub digest: Option<Digest>,
}

/// A registry and the path under which our images and charts live: `registry.example.com/project`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryLocation {
    host: RegistryHost,
    project: Option<Repository>,
}

impl RegistryLocation {
    /// The longest project path, in bytes: it leaves room for the name of every release unit.
    pub const MAX_PROJECT_LENGTH: usize = Repository::MAX_LENGTH
        - "/".len()
        - longest(Self::CHARTS.len(), Self::RELEASES.len())
        - "/".len()
        - ReleaseUnit::MAX_LENGTH;

    /// Where charts are, below the project. A registry tells an image from a chart by its repository only, and both
    /// have the unit's name and version.
    pub const CHARTS: &str = "charts";

    /// Where release records are, below the project.
    pub const RELEASES: &str = "releases";

    /// Images and charts below `project`, or at the root of the registry.
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

    /// Host and port.
    pub fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// The path in front of every name; `None` for a registry of our own.
    pub fn project(&self) -> Option<&Repository> {
        self.project.as_ref()
    }

    /// The name of a unit's image of one version.
    pub fn image(&self, unit: &ReleaseUnit, version: &Version) -> ImageRef {
        let repository = match &self.project {
            Some(project) => project
                .join(unit.as_str())
                .expect("`new` left room for the name of every unit"),
            None => Repository::from(unit),
        };
        ImageRef::new(self.host.clone(), repository).with_tag(Tag::from(version))
    }

    /// The name of a unit's chart of one version.
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

    /// The name of the record of a unit's release; it is an artifact, not an image.
    pub fn record(&self, unit: &ReleaseUnit, version: &Version) -> ImageRef {
        let repository = self.below(Self::RELEASES).join(unit.as_str());
        let repository = repository.expect("`new` left room for the name of every unit");
        ImageRef::new(self.host.clone(), repository).with_tag(Tag::from(version))
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

/// A registry did not do what was asked. `registry` is its host and port.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer: refused connection, unknown host, time-out.
    #[error("the registry `{registry}` cannot be reached")]
    Unreachable {
        /// Which registry.
        registry: RegistryHost,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Its certificate is not trusted.
    #[error("the certificate of the registry `{registry}` is not trusted")]
    UntrustedCertificate {
        /// Which registry.
        registry: RegistryHost,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// It does not let us in, or not do this.
    #[error("the registry `{registry}` denies {operation}")]
    Denied {
        /// Which registry.
        registry: RegistryHost,
        /// What was tried, such as `pushing to fleet/operator`.
        operation: String,
        /// Where the credentials came from, or that there were none; never the credentials.
        credentials: String,
        /// What it answered, where it said more than no.
        answer: Option<String>,
    },
    /// A published version exists with other content.
    #[error("`{reference}` is already published with other content")]
    TagTaken {
        /// The version, as it would be pulled.
        reference: String,
        /// What is there.
        published: Digest,
        /// What was to be pushed.
        ours: Digest,
    },
    /// The registry answered with an error or with nonsense.
    #[error("the registry `{registry}` failed at {operation}: {answer}")]
    Answer {
        /// Which registry.
        registry: RegistryHost,
        /// What was tried.
        operation: String,
        /// Status and message of the answer.
        answer: String,
    },
    /// There is no room, for us or at all.
    #[error("there is no room for {what} in `{registry}`")]
    NoSpace {
        /// Which registry or node.
        registry: RegistryHost,
        /// What was being stored.
        what: String,
        /// What it answered.
        answer: String,
    },
    /// The image or chart to push is not where it was built, or is not whole.
    #[error("cannot read {what}")]
    Local {
        /// Which image or chart.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The wanted image or chart does not exist.
    #[error("`{reference}` does not exist")]
    NotFound {
        /// As it would be pulled.
        reference: String,
    },
    /// An error of the adapter that needs more words than the above.
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
                "run the same command again: what was sent is not sent twice".into(),
            ],
            Self::UntrustedCertificate { .. } => vec![
                "name the file of the authority that signed it in HARMONY_REGISTRY_CA (PEM)".into(),
                "or add that authority to the trust store of this machine".into(),
            ],
            Self::Denied { registry, .. } => vec![
                format!(
                    "log in with `docker login {registry}`, or set HARMONY_REGISTRY_USER and HARMONY_REGISTRY_PASSWORD"
                ),
                "check that this user may push to that path".into(),
            ],
            Self::TagTaken { .. } => vec![
                "a published version is never changed: raise the version and tag again".into(),
                "or check out the commit that was published".into(),
            ],
            Self::Answer { .. } => vec![
                "run the same command again; if it stays, look at the registry's own log".into(),
            ],
            Self::NoSpace { .. } => {
                vec!["free space or raise the quota, then run the same command again".into()]
            }
            Self::Local { .. } => vec!["build it again".into()],
            Self::NotFound { .. } => vec!["check the version, or release it first".into()],
            Self::Adapter(_) | Self::Cancelled(_) => Vec::new(),
        }
    }
}
