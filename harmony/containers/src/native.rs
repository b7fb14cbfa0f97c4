//! Building images without a daemon: the compilers of the host, then a deterministic assembler.
//!
//! ```text
//! recipe --plan--> host steps --> layers --> config, manifest --> OCI layout
//!                  (cargo, go)    (cached by content)            (written beside, then renamed)
//! ```
//!
//! Start with [`NativeBuilder`]; `assemble` writes the images.

pub(crate) mod assemble;
mod checkup;
pub(crate) mod layer;
pub(crate) mod manifest;

use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::context::Context;
use harmony_core::image::{Base, BuildContext, Built, BuiltImage, HostStep, ImageSource};
use harmony_types::{Digest, ImageRef, printable};

use crate::blocking::blocking;
use crate::cache::Cache;
use crate::fingerprint;
use crate::host_step;
use crate::native::assemble::assemble;
use crate::plan::ImagePlan;
use crate::startable;

/// The name of this builder in errors and cache keys.
const NAME: &str = "native";

/// Builds images from recipes in this process, without Docker and without root.
///
/// **Deterministic**: the same recipe, files and [`BuildContext`] give the same digest on every machine. Entries are
/// sorted, owned by root and dated 1970; gzip headers have no time; JSON keys are sorted; `created` is that of the
/// context.
///
/// **Incremental**: layers are cached by content, so an unchanged image needs only its host steps and one hash of its
/// files. **Safe to kill**: an image gets its name only when it is complete, and the next run continues with the
/// existing layers. Several processes can share a cache.
///
/// It does not support Dockerfiles, or base images, which it would have to pull.
#[derive(Debug, Clone)]
pub struct NativeBuilder {
    context: Context,
    cache: CacheDir,
}

impl NativeBuilder {
    /// A builder that caches layers and images in `cache_dir`, which is created if necessary.
    pub fn new(context: Context, cache_dir: impl Into<CacheDir>) -> Self {
        Self {
            context,
            cache: cache_dir.into(),
        }
    }

    async fn plan(&self, context: &BuildContext, image: &ImageRef) -> Result<Planned, BuildError> {
        let buildable = match &context.source {
            ImageSource::Dockerfile { path, .. } => {
                return Err(BuildError::DockerfileUnsupported {
                    builder: NAME,
                    path: path.clone(),
                    able: vec![
                        "harmony_containers::DockerBuilder",
                        "harmony_containers::BuildKitBuilder",
                    ],
                });
            }
            ImageSource::Buildable(buildable) => Arc::clone(buildable),
        };
        let (context, image) = (context.clone(), image.to_string());
        blocking(&self.context, move |_| {
            let recipe = buildable.recipe(&context)?;
            let plan = ImagePlan::new(&recipe, &context, &image)?;
            if let Base::Image(base) = &plan.base {
                return Err(BuildError::Recipe {
                    image,
                    reason: format!("the native builder does not support the base image `{base}`"),
                    help:
                        "use `DockerBuilder` or `BuildKitBuilder`, or link the program statically and build from scratch"
                            .to_owned(),
                });
            }
            Ok(Planned {
                plan: Arc::new(plan),
                steps: Arc::new(recipe.host_steps),
            })
        })
        .await
    }

    async fn fingerprint(&self, planned: &Planned) -> Result<Option<Digest>, BuildError> {
        let Planned { plan, steps } = planned.clone();
        blocking(&self.context, move |cancel| {
            fingerprint::of_build(NAME, &plan, &steps, cancel)
        })
        .await
    }

    async fn assemble(
        &self,
        planned: &Planned,
        image: &ImageRef,
        cache: &Cache,
    ) -> Result<BuiltImage, BuildError> {
        let progress = Arc::new(self.context.step(format!("assemble image {image}")));
        let (plan, cache, listener) = (
            Arc::clone(&planned.plan),
            cache.clone(),
            Arc::clone(&progress),
        );
        let name = image.to_string();
        let built = blocking(&self.context, move |cancel| {
            startable::check(&plan, &name)?;
            assemble(&plan, &cache, &listener, cancel)
        })
        .await?;
        if let Some(progress) = Arc::into_inner(progress) {
            progress.done(format!(
                "{} ({})",
                built.digest.short(),
                printable::size(built.size)
            ));
        }
        Ok(built)
    }
}

#[async_trait]
impl ContainerBuilder for NativeBuilder {
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError> {
        let cache = Cache::open(&self.cache)?;
        let planned = self.plan(context, image).await?;
        let before = self.fingerprint(&planned).await?;
        if self.context.is_planning() {
            return Ok(cache.predicted(before.as_ref()));
        }
        cache.prepare()?;
        for step in planned.steps.iter() {
            host_step::run(step, image, &self.context).await?;
        }
        let built = self.assemble(&planned, image, &cache).await?;
        let after = self.fingerprint(&planned).await?;
        cache.remember(before, after, &built.digest)?;
        cache.prune();
        Ok(Built::Image(built))
    }
}

/// The work to do, shared with the threads that do it.
#[derive(Debug, Clone)]
struct Planned {
    plan: Arc<ImagePlan>,
    steps: Arc<Vec<HostStep>>,
}

#[cfg(test)]
mod tests;
