//! Building images with a Docker daemon.
//!
//! ```text
//! Dockerfile + project -----------+--> `docker build` ---+
//! recipe --plan--> Dockerfile ----+--> POST /build ------+--> image in the daemon --export--> OCI layout
//! ```
//!
//! Start with [`DockerBuilder`]. `client` builds with BuildKit, `send` sends the build context to the classic builder, and
//! `export` converts the image in the daemon to a layout.

mod checkup;
mod client;
mod connection;
mod export;
mod send;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt;
use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::context::Context;
use harmony_core::event::Step;
use harmony_core::image::{BuildContext, Built, BuiltImage};
use harmony_core::inventory::Platform;
use harmony_types::{ImageRef, printable};

use crate::blocking::blocking;
use crate::cache::Cache;
use crate::child::KEPT_LINES;
use crate::context::BuildFiles;
use crate::docker::client::Client;
use crate::docker::connection::Endpoint;
use crate::dockerfile::Dialect;
use crate::request::{Files, Request};

/// The name of this builder in cache keys.
const NAME: &str = "docker";

/// Builds images in a Docker daemon, from a Dockerfile or a recipe, and exports them as OCI layouts.
///
/// Uses the daemon in `DOCKER_HOST` (`unix://` or plain `tcp://`), or the one at `/var/run/docker.sock`.
///
/// It uses BuildKit if there is a `docker` client on `PATH` that can: the API for BuildKit needs a session, which only the
/// client implements. Otherwise it uses the classic builder, without `RUN --mount`, secrets and other extensions.
///
/// The image stays in the daemon under its name. [`Built::Image`] refers to an OCI layout of it, which every registry
/// adapter can push. Docker adds the build time to images, so two daemons give different digests for the same recipe.
/// One daemon gives the same digest as long as its build cache exists.
#[derive(Debug, Clone)]
pub struct DockerBuilder {
    context: Context,
    cache: CacheDir,
    endpoint: Endpoint,
    client: PathBuf,
}

impl DockerBuilder {
    /// A builder that uses the daemon configured on this machine, and stores layouts in `cache_dir`.
    pub fn new(context: Context, cache_dir: impl Into<CacheDir>) -> Self {
        Self {
            context,
            cache: cache_dir.into(),
            endpoint: Endpoint::from_env(),
            client: "docker".into(),
        }
    }

    /// Uses the daemon at this address, such as `unix:///run/user/1000/docker.sock`.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: Endpoint::new(endpoint),
            ..self
        }
    }

    /// Uses this docker client for BuildKit, instead of the one on `PATH`.
    #[must_use]
    pub fn with_client(self, client: impl Into<PathBuf>) -> Self {
        Self {
            client: client.into(),
            ..self
        }
    }

    /// Exports an image from the daemon as an OCI layout with compressed layers, which can be pushed. Earlier exports
    /// are cached.
    ///
    /// # Errors
    /// [`BuildError::Daemon`] if the daemon does not have the image or cannot be reached; [`BuildError::Write`].
    pub async fn to_oci_layout(&self, image: &ImageRef) -> Result<BuiltImage, BuildError> {
        let cache = Cache::open(&self.cache)?;
        cache.prepare()?;
        let docker = self.endpoint.connect(&self.context).await?;
        self.export(&docker, image, &cache).await
    }

    async fn export(
        &self,
        docker: &Docker,
        image: &ImageRef,
        cache: &Cache,
    ) -> Result<BuiltImage, BuildError> {
        let progress = self
            .context
            .step(format!("export image {image} from docker"));
        let name = daemon_name(image);
        let built =
            export::to_oci_layout(&self.context, cache, &self.endpoint, docker, &name).await?;
        progress.done(format!(
            "{} ({})",
            built.digest.short(),
            printable::size(built.size)
        ));
        Ok(built)
    }

    async fn build_in_daemon(
        &self,
        docker: &Docker,
        request: &Request,
        image: &ImageRef,
        cache: &Cache,
    ) -> Result<(), BuildError> {
        match Client::find(&self.client, &self.endpoint, &self.context).await? {
            Ok(client) => client.build(&self.context, request, image, cache).await,
            Err(reason) if !request.secrets.is_empty() => Err(BuildError::NeedsBuildKit {
                image: image.to_string(),
                feature: "secrets",
                reason,
            }),
            Err(reason) => {
                tracing::debug!(reason, "using Docker's classic builder");
                self.build_classic(docker, request, image).await
            }
        }
    }

    /// Builds with the classic builder, which every daemon has.
    async fn build_classic(
        &self,
        docker: &Docker,
        request: &Request,
        image: &ImageRef,
    ) -> Result<(), BuildError> {
        let step = self.context.step(format!("build image {image} in docker"));
        let files = request.files.clone();
        let files = blocking(&self.context, move |_| match &files {
            Files::Project(project) => BuildFiles::of_project(project),
            Files::Text { root, dockerfile } => BuildFiles::of_text(root, dockerfile),
            Files::Layers(files) => Ok(files.clone()),
        })
        .await?;
        let options = classic_options(request, &files, image);
        let (body, archive) = send::send(&self.context, files);
        let stream = docker.build_image(options, None, Some(bollard::body_try_stream(body)));
        let result = self.follow(stream, image, &step).await;
        // An unreadable file is the cause of the error that docker reports.
        if let Some(error) = archive.await {
            return Err(error);
        }
        result?;
        step.done("");
        Ok(())
    }

    /// Converts the output of the daemon to progress, and its error to ours.
    async fn follow(
        &self,
        stream: impl futures_util::Stream<
            Item = Result<bollard::models::BuildInfo, bollard::errors::Error>,
        >,
        image: &ImageRef,
        step: &Step,
    ) -> Result<(), BuildError> {
        let mut stream = std::pin::pin!(stream);
        let mut lines: Vec<String> = Vec::new();
        let failed = |lines: Vec<String>, help: &str, source| BuildError::Daemon {
            endpoint: self.endpoint.to_string(),
            doing: format!("building {image}"),
            output: lines,
            help: help.to_owned(),
            source,
        };
        while let Some(info) = self.context.unless_cancelled(stream.next()).await? {
            let info = info.map_err(|error| {
                failed(
                    lines.clone(),
                    "check that the daemon is still running, then run the same command again",
                    Some(error.into()),
                )
            })?;
            let text = info.stream.as_deref().unwrap_or_default();
            for line in text
                .lines()
                .map(str::trim_end)
                .filter(|line| !line.is_empty())
            {
                step.message(line);
                lines.push(line.to_owned());
            }
            if lines.len() > KEPT_LINES {
                lines.drain(..lines.len() - KEPT_LINES);
            }
            if let Some(detail) = info.error_detail {
                lines.extend(detail.message);
                return Err(failed(
                    lines,
                    "fix what docker reports above, then run the same command again",
                    None,
                ));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ContainerBuilder for DockerBuilder {
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError> {
        let cache = Cache::open(&self.cache)?;
        let request = Request::read(context, image, Dialect::Classic, &self.context).await?;
        // Two daemons build different images from the same recipe.
        let builder = format!("{NAME} at {}", self.endpoint);
        let before = request.fingerprint(&builder, &self.context).await?;
        if self.context.is_planning() {
            return Ok(cache.predicted(before.as_ref()));
        }
        cache.prepare()?;
        let docker = self.endpoint.connect(&self.context).await?;
        request.run_host_steps(image, &self.context).await?;
        self.build_in_daemon(&docker, &request, image, &cache)
            .await?;
        let built = self.export(&docker, image, &cache).await?;
        let after = request.fingerprint(&builder, &self.context).await?;
        cache.remember(before, after, &built.digest)?;
        cache.prune();
        Ok(Built::Image(built))
    }
}

fn classic_options(
    request: &Request,
    files: &BuildFiles,
    image: &ImageRef,
) -> bollard::query_parameters::BuildImageOptions {
    let mut options = BuildImageOptionsBuilder::default()
        .t(&daemon_name(image))
        .dockerfile(&files.dockerfile)
        .rm(true)
        .forcerm(true)
        .buildargs(&to_hash_map(&request.build_args))
        .labels(&to_hash_map(&request.labels));
    // Older daemons support a platform only as an experimental feature, and their own is the default.
    if request.platform != Platform::current() {
        options = options.platform(&request.platform.to_string());
    }
    options.build()
}

/// The name in the daemon, which does not support names with both a tag and a digest.
fn daemon_name(image: &ImageRef) -> String {
    match image.tag() {
        Some(tag) => format!("{}:{tag}", image.name()),
        None => image.name(),
    }
}

fn to_hash_map(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.clone().into_iter().collect()
}
