//! The adapter: stores images and charts in an OCI registry.

use std::path::Path;

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_core::chart::{PackagedChart, PackagedObjects, PublishedObjects};
use harmony_core::event::Step;
use harmony_core::image::{Built, BuiltImage, ImageLocation};
use harmony_core::inventory::Platform;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_types::{ChartRef, Digest, ImageRef, RegistryHost, Repository};

use crate::artifact::Artifact;
use crate::error::ClientError;
use crate::push::{self, Decision, KnownBlobs};
use crate::scope::Scope;
use crate::settings::RegistrySettings;
use crate::transport::Transport;
use crate::{chart, manifest, pull};
use harmony_types::printable;

/// The maximum size of a `Chart.yaml` and of a chart archive.
const CHART_CONFIG_LIMIT: u64 = 4 * 1024 * 1024;
pub(crate) const CHART_LIMIT: u64 = 64 * 1024 * 1024;

/// A client for one OCI registry: distribution, Harbor, zot, GHCR and others.
///
/// **Guarantees.** A published version never changes. A version becomes visible last, when it is complete, and is read
/// back. What the registry already has is not sent again, so a run after an interrupted one continues it. While
/// planning, only GET and HEAD leave this process. Cancelling takes effect immediately, even during an upload.
///
/// **Assumption.** Only one run publishes a version at a time. An existing tag is detected and refused, but registries
/// have no conditional writes: two runs that write different content within one round trip cannot detect each other.
/// Registries with immutable tags close that gap.
///
/// **TLS.** Always, with the certificate authorities of the machine and those of the settings. Registries on this
/// machine (`localhost`, `127.0.0.0/8`, `[::1]`) may use plain HTTP; TLS is tried first.
///
/// **Logins** are looked up when the registry asks for one, in this order: the settings, `HARMONY_REGISTRY_USER` and
/// `HARMONY_REGISTRY_PASSWORD`, Docker's `config.json` (`DOCKER_CONFIG`) and Podman's `auth.json`, both with credential
/// helpers; else anonymous. In the files, the login with the longest matching repository path wins.
///
/// **Proxies** are taken from the environment ([`harmony_core::proxy`]), also for token servers; connections to this
/// machine are always direct.
///
/// **Denied access** counts as "does not exist" if the registry accepts our login, because some registries deny access
/// to what was never pushed. The push itself finds out whether the login may push.
///
/// Idempotent calls are retried a few times if the connection breaks or the registry answers 429, 502, 503 or 504. A
/// registry that cannot be connected to fails immediately.
#[derive(Debug)]
pub struct OciRegistryClient {
    context: Context,
    location: RegistryLocation,
    transport: Transport,
    known: KnownBlobs,
}

impl OciRegistryClient {
    /// Creates a client for the registry of `location`, without contacting it.
    ///
    /// # Errors
    /// The file of additional certificate authorities is missing or empty; the environment has a user without a
    /// password or vice versa; TLS cannot be set up on this machine. See [`ClientError`].
    pub fn new(
        context: Context,
        location: RegistryLocation,
        settings: RegistrySettings,
    ) -> Result<Self, RegistryError> {
        let transport = Transport::new(&context, location.host(), location.project(), settings)?;
        Ok(Self {
            context,
            location,
            transport,
            known: KnownBlobs::default(),
        })
    }

    /// Writes the image for one platform to an OCI layout at `directory`, as its only manifest, with every byte
    /// verified.
    ///
    /// Can be retried after a failure: complete files are not read again. It also writes to this machine while
    /// planning, but never to the registry.
    ///
    /// # Errors
    /// See [`RegistryError`]; [`RegistryError::NotFound`] if the image does not exist.
    pub async fn pull_image(
        &self,
        image: &ImageRef,
        platform: &Platform,
        directory: &Path,
    ) -> Result<BuiltImage, RegistryError> {
        self.context
            .unless_cancelled(self.pull(image, platform, directory))
            .await?
    }

    pub(crate) fn location(&self) -> &RegistryLocation {
        &self.location
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    async fn pull(
        &self,
        image: &ImageRef,
        platform: &Platform,
        directory: &Path,
    ) -> Result<BuiltImage, RegistryError> {
        let name = self.name_of(image)?;
        let scope = Scope::pull(image.repository().clone());
        let reference = image.to_string();
        let step = self.context.step(format!("pull image {image}"));
        let manifest =
            pull::of_platform(&self.transport, &scope, &name, platform, &reference).await?;
        let built = pull::image(&self.transport, &scope, &manifest, directory, &step).await?;
        step.done(printable::size(built.size));
        Ok(built)
    }

    async fn publish_image(
        &self,
        image: &Built,
        to: &ImageRef,
    ) -> Result<Published, RegistryError> {
        let name = match to.tag() {
            Some(tag) => tag.to_string(),
            None => self.name_of(to)?,
        };
        let target = Target {
            registry: to.registry(),
            repository: to.repository(),
            name: &name,
            tagged: to.tag().is_some(),
            named: to.digest(),
            reference: to.to_string(),
            subject: to.clone().into(),
        };
        let contents = || self.image_contents(image, to);
        self.publish(target, image.digest(), contents).await
    }

    async fn image_contents(
        &self,
        image: &Built,
        to: &ImageRef,
    ) -> Result<Artifact, RegistryError> {
        let reference = to.to_string();
        let Built::Image(BuiltImage {
            digest, location, ..
        }) = image
        else {
            return Err(ClientError::NotBuilt { reference }.into());
        };
        let place = match location {
            ImageLocation::OciLayout(path) => {
                let (path, digest, registry) = (
                    path.clone(),
                    digest.clone(),
                    self.transport.registry().clone(),
                );
                let read = move || Artifact::of_layout(&path, &digest, &registry);
                let failed = |source| RegistryError::Local {
                    what: format!("the image for `{reference}`"),
                    source,
                };
                return tokio::task::spawn_blocking(read)
                    .await
                    .map_err(|error| failed(error.into()))?
                    .map_err(|error| failed(error.into()));
            }
            ImageLocation::DockerDaemon(name) => format!("in the docker daemon as `{name}`"),
            ImageLocation::Registry(name) => format!("in a registry as `{name}`"),
        };
        Err(ClientError::NotInLayout { reference, place }.into())
    }

    async fn publish_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        let artifact = chart::artifact(chart, to)?;
        let digest = artifact
            .manifests
            .last()
            .map(|manifest| manifest.digest.clone());
        let target = Target {
            registry: to.registry(),
            repository: &to.repository(),
            name: &to.version().to_string(),
            tagged: true,
            named: to.digest(),
            reference: to.to_string(),
            subject: to.clone().into(),
        };
        self.publish(target, digest.as_ref(), || std::future::ready(Ok(artifact)))
            .await
    }

    /// The only way to publish something; see [`crate::push`].
    pub(crate) async fn publish<C, F>(
        &self,
        target: Target<'_>,
        ours: Option<&Digest>,
        contents: C,
    ) -> Result<Published, RegistryError>
    where
        C: FnOnce() -> F,
        F: Future<Output = Result<Artifact, RegistryError>>,
    {
        self.check_registry(target.registry, &target.reference)?;
        if let (Some(named), Some(ours)) = (target.named, ours)
            && named != ours
        {
            return Err(ClientError::OtherDigest {
                reference: target.reference,
                ours: ours.clone(),
            }
            .into());
        }
        let planning = self.context.is_planning();
        let scope = if planning {
            Scope::pull(target.repository.clone())
        } else {
            Scope::push(target.repository.clone())
        };
        let step = self.context.step(format!("push {}", target.subject));
        let published = manifest::resolve(&self.transport, &scope, target.name).await?;
        let note = |digest: Option<&Digest>| match digest {
            Some(digest) => digest.to_string(),
            None => "digest known after build".to_owned(),
        };
        let (action, note) = match push::decide(published, ours) {
            Decision::Nothing => {
                step.skipped("already published");
                (Action::Unchanged, note(ours))
            }
            Decision::Refuse { published, ours } => {
                return Err(RegistryError::TagTaken {
                    reference: target.reference,
                    published,
                    ours,
                });
            }
            Decision::KnownAfterBuild { published } if planning => {
                step.skipped("already published");
                let note = format!(
                    "published as {published}; whether this build is the same is known after build"
                );
                (Action::Unchanged, note)
            }
            Decision::Publish if planning => {
                step.skipped("would be published");
                (Action::Create, note(ours))
            }
            Decision::Publish | Decision::KnownAfterBuild { .. } => {
                self.send(&target, &scope, contents().await?, step).await?;
                (Action::Create, note(ours))
            }
        };
        Ok(Published {
            change: Change::new(action, target.subject).with_note(note),
            digest: ours.cloned(),
        })
    }

    async fn send(
        &self,
        target: &Target<'_>,
        scope: &Scope,
        artifact: Artifact,
        step: Step,
    ) -> Result<(), RegistryError> {
        let tally = push::contents(&self.transport, &self.known, scope, &artifact, &step).await?;
        if let Some(top) = artifact.manifests.last() {
            if target.tagged {
                push::tag(&self.transport, scope, target.name, top, &target.reference).await?;
            }
            self.transport.remember(target.repository, target.name);
            self.transport
                .remember(target.repository, top.digest.as_str());
        }
        step.done(tally.to_string());
        Ok(())
    }

    async fn chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        let reference = chart.to_string();
        let artifact = chart.as_artifact();
        let name = self.name_of(&artifact)?;
        let scope = Scope::pull(chart.repository());
        let step = self.context.step(format!("pull chart {chart}"));
        let manifest = pull::manifest(&self.transport, &scope, &name, &reference).await?;
        let parts = chart::parts(&manifest.bytes, &reference)?;
        let config = pull::small_blob(
            &self.transport,
            &scope,
            parts.config.clone(),
            CHART_CONFIG_LIMIT,
        )
        .await?;
        let content =
            pull::small_blob(&self.transport, &scope, parts.content.clone(), CHART_LIMIT).await?;
        let packaged = chart::packaged(parts, &config, &content, chart)?;
        step.done(printable::size(content.len() as u64));
        Ok(packaged)
    }

    async fn resolve(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        let name = self.name_of(image)?;
        let scope = Scope::pull(image.repository().clone());
        manifest::resolve(&self.transport, &scope, &name).await
    }

    /// The digest, else the tag, of something in this registry.
    fn name_of(&self, image: &ImageRef) -> Result<String, ClientError> {
        let reference = image.to_string();
        self.check_registry(image.registry(), &reference)?;
        match image.reference() {
            Some(name) => Ok(name.to_owned()),
            None => Err(ClientError::NoTag { reference }),
        }
    }

    pub(crate) fn check_registry(
        &self,
        registry: &RegistryHost,
        reference: &str,
    ) -> Result<(), ClientError> {
        if registry == self.transport.registry() {
            return Ok(());
        }
        Err(ClientError::OtherRegistry {
            reference: reference.to_owned(),
            registry: self.transport.registry().clone(),
        })
    }
}

pub(crate) struct Target<'a> {
    pub(crate) registry: &'a RegistryHost,
    pub(crate) repository: &'a Repository,
    /// The tag, or the digest if there is none.
    pub(crate) name: &'a str,
    pub(crate) tagged: bool,
    /// The digest in the reference, which must match the content.
    pub(crate) named: Option<&'a Digest>,
    pub(crate) reference: String,
    pub(crate) subject: Subject,
}

#[async_trait]
impl OciRegistry for OciRegistryClient {
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError> {
        self.context
            .unless_cancelled(self.publish_image(image, to))
            .await?
    }

    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        self.context.unless_cancelled(self.resolve(image)).await?
    }

    fn registry_url(&self) -> &RegistryLocation {
        &self.location
    }
}

#[async_trait]
impl HelmRegistry for OciRegistryClient {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        self.context
            .unless_cancelled(self.publish_chart(chart, to))
            .await?
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        self.context
            .unless_cancelled(self.resolve(&chart.as_artifact()))
            .await?
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        self.context.unless_cancelled(self.chart(chart)).await?
    }

    async fn push_objects(
        &self,
        objects: &PackagedObjects,
        of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        self.context
            .unless_cancelled(self.publish_objects(objects, of))
            .await?
    }

    async fn pull_objects(&self, of: &ChartRef) -> Result<Option<PublishedObjects>, RegistryError> {
        self.context.unless_cancelled(self.read_objects(of)).await?
    }
}
