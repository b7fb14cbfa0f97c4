//! Building images with a Docker daemon.
//!
//! ```text
//! Dockerfile + project --context--+
//! recipe --plan--> Dockerfile ----+--> POST /build --> image in the daemon --export--> OCI layout
//! ```
//!
//! Start with [`DockerBuilder`]. `dockerfile` renders a recipe, `context` creates the build context, and `export`
//! converts the image in the daemon to a layout.

mod checkup;
mod connection;
mod context;
mod dockerfile;
mod export;
mod ignore;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt;
use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::context::Context;
use harmony_core::event::Step;
use harmony_core::image::{BuildContext, Built, BuiltImage, HostStep, ImageSource};
use harmony_core::inventory::Platform;
use harmony_types::{Digest, ImageRef, printable};

use crate::blocking::blocking;
use crate::cache::{Cache, Record};
use crate::docker::connection::Endpoint;
use crate::docker::context::BuildFiles;
use crate::fingerprint;
use crate::host_step::{self, KEPT_LINES};
use crate::native::BuildRecord;
use crate::plan::ImagePlan;
use crate::startable;

/// The name of this builder in cache keys.
const NAME: &str = "docker";

/// Builds images in a Docker daemon, from a Dockerfile or a recipe, and exports them as OCI layouts.
///
/// Uses the daemon in `DOCKER_HOST` (`unix://` or plain `tcp://`), or the one at `/var/run/docker.sock`. It uses the
/// classic builder, which every daemon has. `RUN --mount` and other BuildKit extensions are not available.
///
/// The image stays in the daemon under its name. [`Built::Image`] refers to an OCI layout of it, which every registry
/// adapter can push. Docker adds the build time to images, so two daemons give different digests for the same recipe.
/// One daemon gives the same digest as long as its build cache exists.
#[derive(Debug, Clone)]
pub struct DockerBuilder {
    context: Context,
    cache: CacheDir,
    endpoint: Endpoint,
}

impl DockerBuilder {
    /// A builder that uses the daemon configured on this machine, and stores layouts in `cache_dir`.
    pub fn new(context: Context, cache_dir: impl Into<CacheDir>) -> Self {
        Self {
            context,
            cache: cache_dir.into(),
            endpoint: Endpoint::from_env(),
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

    async fn prepare(
        &self,
        context: &BuildContext,
        image: &ImageRef,
    ) -> Result<Prepared, BuildError> {
        let (context, image) = (context.clone(), image.to_string());
        blocking(&self.context, move |_| match &context.source {
            ImageSource::Dockerfile { path, build_args } => Ok(Prepared::Dockerfile {
                files: BuildFiles::of_project(&context.project_root, path, &image)?,
                build_args: build_args.clone(),
                labels: context.labels.clone(),
                platform: context.platform.clone(),
            }),
            ImageSource::Buildable(buildable) => {
                let recipe = buildable.recipe(&context)?;
                let plan = ImagePlan::new(&recipe, &context, &image)?;
                let text = dockerfile::render(&plan, &image)?;
                Ok(Prepared::Recipe {
                    files: BuildFiles::of_plan(&plan, text),
                    plan: Arc::new(plan),
                    steps: Arc::new(recipe.host_steps),
                })
            }
        })
        .await
    }

    async fn build_in_daemon(
        &self,
        docker: &Docker,
        prepared: &Prepared,
        image: &ImageRef,
    ) -> Result<(), BuildError> {
        let step = self.context.step(format!("build image {image} in docker"));
        let (body, archive) = context::send(&self.context, prepared.files().clone());
        let options = prepared.options(image);
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

    async fn fingerprint(&self, prepared: &Prepared) -> Result<Option<Digest>, BuildError> {
        // The context of a Dockerfile can contain files that git does not know, and `RUN` can use the network.
        let Prepared::Recipe { plan, steps, .. } = prepared else {
            return Ok(None);
        };
        let (plan, steps) = (Arc::clone(plan), Arc::clone(steps));
        // Two daemons build different images from the same recipe.
        let builder = format!("{NAME} at {}", self.endpoint);
        blocking(&self.context, move |cancel| {
            fingerprint::of_build(&builder, &plan, &steps, cancel)
        })
        .await
    }
}

#[async_trait]
impl ContainerBuilder for DockerBuilder {
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError> {
        let cache = Cache::open(&self.cache)?;
        let prepared = self.prepare(context, image).await?;
        let before = self.fingerprint(&prepared).await?;
        if self.context.is_planning() {
            let record = before
                .as_ref()
                .and_then(|key| cache.read::<BuildRecord>(Record::Build, key));
            return Ok(Built::Predicted(record.map(|record| record.digest)));
        }
        cache.prepare()?;
        let docker = self.endpoint.connect(&self.context).await?;
        if let Prepared::Recipe { steps, plan, .. } = &prepared {
            for step in steps.iter() {
                host_step::run(step, image, &self.context).await?;
            }
            let (plan, name) = (Arc::clone(plan), image.to_string());
            blocking(&self.context, move |_| startable::check(&plan, &name)).await?;
        }
        self.build_in_daemon(&docker, &prepared, image).await?;
        let built = self.export(&docker, image, &cache).await?;
        let after = self.fingerprint(&prepared).await?;
        if let Some(key) = before.filter(|before| after.as_ref() == Some(before)) {
            let digest = built.digest.clone();
            cache.write(Record::Build, &key, &BuildRecord { digest })?;
        }
        cache.prune();
        Ok(Built::Image(built))
    }
}

/// What the daemon should build.
#[derive(Debug)]
enum Prepared {
    Dockerfile {
        files: BuildFiles,
        build_args: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        platform: Platform,
    },
    Recipe {
        files: BuildFiles,
        plan: Arc<ImagePlan>,
        steps: Arc<Vec<HostStep>>,
    },
}

impl Prepared {
    fn files(&self) -> &BuildFiles {
        match self {
            Self::Dockerfile { files, .. } | Self::Recipe { files, .. } => files,
        }
    }

    fn options(&self, image: &ImageRef) -> bollard::query_parameters::BuildImageOptions {
        let mut options = BuildImageOptionsBuilder::default()
            .t(&daemon_name(image))
            .dockerfile(&self.files().dockerfile)
            .rm(true)
            .forcerm(true);
        let platform = match self {
            Self::Dockerfile {
                build_args,
                labels,
                platform,
                ..
            } => {
                options = options
                    .buildargs(&to_hash_map(build_args))
                    .labels(&to_hash_map(labels));
                platform
            }
            Self::Recipe { plan, .. } => &plan.platform,
        };
        // Older daemons support a platform only as an experimental feature, and their own is the default.
        if *platform != Platform::current() {
            options = options.platform(&platform.to_string());
        }
        options.build()
    }
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

/// The name of a file in the build context.
fn context_name(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}
