//! Building images with BuildKit.
//!
//! ```text
//! Dockerfile + project --------------+
//! Buildable --dockerfile--> text ----+--stage--> directories --buildctl--> buildkitd --OCI layout--> cache
//! Buildable --recipe, plan--> text --+
//! ```
//!
//! Start with [`BuildKitBuilder`]. `command` creates the command line of `buildctl`, `failure` finds the cause of an
//! error in its output, and `layout` takes over the image.

mod checkup;
pub(crate) mod command;
mod endpoint;
mod failure;
mod layout;

use std::path::PathBuf;

use async_trait::async_trait;
use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::context::Context;
use harmony_core::image::{BuildContext, Built, BuiltImage};
use harmony_core::process;
use harmony_types::{ImageRef, printable};

use crate::blocking::blocking;
use crate::cache::Cache;
use crate::child::{self, ChildError};
use crate::dockerfile::Dialect;
use crate::host_step::program_missing;
use crate::native::layer::unwritable;
use crate::progress::Output;
use crate::request::Request;
use crate::stage::Directories;

pub use endpoint::{BuildKitEndpoint, ClientCertificates, InvalidEndpoint};

/// The client of BuildKit.
const CLIENT: &str = "buildctl";

/// The variable with the path of the client.
pub const CLIENT_VARIABLE: &str = "HARMONY_BUILDCTL";

/// Builds images with a BuildKit daemon on this or another machine, from Dockerfiles and recipes.
///
/// It runs the program in `HARMONY_BUILDCTL`, else the first `buildctl` on `PATH`. `RUN --mount=type=cache` and `--mount=type=secret`, build
/// arguments and platforms work as in BuildKit. Base images are pulled by the daemon, with the logins of `docker login`
/// on this machine.
///
/// The result is an OCI layout in the cache directory, which every registry adapter can push; the daemon pushes nothing.
/// All files are dated at the latest at the time of the commit, and there are no attestations, so the same files give
/// the same digest with every daemon of the same version, unless a `RUN` step gives different results.
#[derive(Debug, Clone)]
pub struct BuildKitBuilder {
    context: Context,
    cache: CacheDir,
    endpoint: BuildKitEndpoint,
    client: PathBuf,
}

impl BuildKitBuilder {
    /// A builder that uses the daemon at `endpoint`, and stores layouts in `cache_dir`. Does not contact anything yet.
    pub fn new(
        context: Context,
        cache_dir: impl Into<CacheDir>,
        endpoint: BuildKitEndpoint,
    ) -> Self {
        Self {
            context,
            cache: cache_dir.into(),
            endpoint,
            client: std::env::var_os(CLIENT_VARIABLE)
                .filter(|named| !named.is_empty())
                .map_or_else(|| CLIENT.into(), PathBuf::from),
        }
    }

    /// Uses this `buildctl`, instead of the one in `HARMONY_BUILDCTL` or on `PATH`.
    #[must_use]
    pub fn with_client(self, client: impl Into<PathBuf>) -> Self {
        Self {
            client: client.into(),
            ..self
        }
    }

    /// Checks that the client is installed and that the daemon answers.
    ///
    /// # Errors
    /// [`BuildError::ProgramMissing`], [`BuildError::Unreachable`].
    pub async fn check(&self) -> Result<(), BuildError> {
        if process::find(&self.client).is_none() {
            return Err(program_missing(CLIENT));
        }
        self.endpoint.check_files()?;
        let mut output = Output::default();
        let command = command::check(&self.client, &self.endpoint);
        match child::run(command, &self.context, |line| drop(output.add(line))).await {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(failure::unreachable(&self.endpoint, &output)),
            Err(error) => Err(unstartable(error)),
        }
    }

    async fn build_in_daemon(
        &self,
        request: &Request,
        image: &ImageRef,
        cache: &Cache,
    ) -> Result<BuiltImage, BuildError> {
        let step = self
            .context
            .step(format!("build image {image} in BuildKit"));
        let (files, staging) = (request.files.clone(), cache.staging());
        let (directories, layout) = blocking(&self.context, move |cancel| {
            let directories = Directories::of(&files, &staging, cancel)?;
            let layout = tempfile::Builder::new()
                .prefix("buildkit-")
                .tempdir_in(&staging)
                .map_err(unwritable(&staging))?;
            Ok((directories, layout))
        })
        .await?;
        let mut output = Output::default();
        let command = command::build(
            &self.client,
            &self.endpoint,
            request,
            &directories,
            layout.path(),
        );
        let status = child::run(command, &self.context, |line| {
            if let Some(text) = output.add(line) {
                step.message(text);
            }
        })
        .await
        .map_err(unstartable)?;
        if !status.success() {
            return Err(failure::of_build(&self.endpoint, image, &output));
        }
        let (cache, endpoint, name) = (cache.clone(), self.endpoint.clone(), image.to_string());
        let built = blocking(&self.context, move |_| {
            layout::keep(layout, &cache).map_err(|error| match error {
                layout::LayoutFault::Build(error) => error,
                layout::LayoutFault::Layout(error) => failure::unusable(&endpoint, &name, error),
            })
        })
        .await?;
        step.done(format!(
            "{} ({})",
            built.digest.short(),
            printable::size(built.size)
        ));
        Ok(built)
    }
}

#[async_trait]
impl ContainerBuilder for BuildKitBuilder {
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError> {
        let cache = Cache::open(&self.cache)?;
        let request = Request::read(context, image, Dialect::BuildKit, &self.context).await?;
        // Another version of BuildKit can write other bytes.
        let builder = format!("buildkit at {}", self.endpoint);
        let before = request.fingerprint(&builder, &self.context).await?;
        if self.context.is_planning() {
            return Ok(cache.predicted(before.as_ref()));
        }
        cache.prepare()?;
        self.check().await?;
        request.run_host_steps(image, &self.context).await?;
        let built = self.build_in_daemon(&request, image, &cache).await?;
        let after = request.fingerprint(&builder, &self.context).await?;
        cache.remember(before, after, &built.digest)?;
        cache.prune();
        Ok(Built::Image(built))
    }
}

fn unstartable(error: ChildError) -> BuildError {
    match error {
        ChildError::Cancelled(cancelled) => cancelled.into(),
        ChildError::Start(source) | ChildError::Wait(source) => BuildError::File {
            path: CLIENT.into(),
            source,
        },
    }
}
