//! What a builder of Dockerfiles has to build: a Dockerfile of the project, one that a `Buildable` wrote, or a recipe.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_core::image::{
    BuildContext, DockerfileText, HostStep, ImageSource, SecretId, SecretSource,
};
use harmony_core::inventory::Platform;
use harmony_oci::file::open_regular;
use harmony_types::{Digest, ImageRef};

use crate::blocking::blocking;
use crate::context::{BuildFiles, ProjectDockerfile};
use crate::dockerfile;
use crate::fingerprint;
use crate::host_step;
use crate::plan::ImagePlan;
use crate::startable;

/// A build with a Dockerfile.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) files: Files,
    pub(crate) build_args: BTreeMap<String, String>,
    /// Files have absolute paths.
    pub(crate) secrets: BTreeMap<SecretId, SecretSource>,
    /// The labels to add. Those of a recipe are in its Dockerfile.
    pub(crate) labels: BTreeMap<String, String>,
    /// The labels of the build context, which are also annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) platform: Platform,
    /// Seconds since 1970.
    pub(crate) created: i64,
    recipe: Option<Recipe>,
}

/// The Dockerfile and its context.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    Project(ProjectDockerfile),
    /// A Dockerfile for the project at `root` that is not one of its files.
    Text {
        root: PathBuf,
        dockerfile: DockerfileText,
    },
    /// The layers of a recipe.
    Layers(BuildFiles),
}

#[derive(Debug, Clone)]
struct Recipe {
    plan: Arc<ImagePlan>,
    steps: Arc<Vec<HostStep>>,
}

impl Request {
    /// Reads the project. `image` is used only in errors.
    pub(crate) async fn read(
        build: &BuildContext,
        image: &ImageRef,
        dialect: dockerfile::Dialect,
        context: &Context,
    ) -> Result<Self, BuildError> {
        let (build, image) = (build.clone(), image.to_string());
        blocking(context, move |_| Self::new(&build, &image, dialect)).await
    }

    fn new(
        build: &BuildContext,
        image: &str,
        dialect: dockerfile::Dialect,
    ) -> Result<Self, BuildError> {
        let request = |files| Self {
            files,
            build_args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            labels: build.labels.clone(),
            annotations: build.labels.clone(),
            platform: build.platform.clone(),
            created: build.created,
            recipe: None,
        };
        match &build.source {
            ImageSource::Dockerfile {
                path,
                build_args,
                secrets,
            } => {
                let project = ProjectDockerfile::find(&build.project_root, path, image)?;
                Ok(Self {
                    build_args: build_args.clone(),
                    secrets: existing(secrets, build, image)?,
                    ..request(Files::Project(project))
                })
            }
            ImageSource::Buildable(buildable) => {
                if let Some(dockerfile) = buildable.dockerfile(build)? {
                    let root = build.project_root.clone();
                    return Ok(request(Files::Text { root, dockerfile }));
                }
                let recipe = buildable.recipe(build)?;
                let plan = ImagePlan::new(&recipe, build, image)?;
                let text = dockerfile::render(&plan, image, dialect)?;
                Ok(Self {
                    labels: BTreeMap::new(),
                    recipe: Some(Recipe {
                        plan: Arc::new(plan.clone()),
                        steps: Arc::new(recipe.host_steps),
                    }),
                    ..request(Files::Layers(BuildFiles::of_plan(&plan, text)))
                })
            }
        }
    }

    /// The fingerprint of this build by `builder`. `None` for a Dockerfile, because its context can contain files that
    /// git does not know, and `RUN` can use the network.
    pub(crate) async fn fingerprint(
        &self,
        builder: &str,
        context: &Context,
    ) -> Result<Option<Digest>, BuildError> {
        let Some(Recipe { plan, steps }) = self.recipe.clone() else {
            return Ok(None);
        };
        let builder = builder.to_owned();
        blocking(context, move |cancel| {
            fingerprint::of_build(&builder, &plan, &steps, cancel)
        })
        .await
    }

    /// Runs the host steps of a recipe, and checks that its program can start.
    pub(crate) async fn run_host_steps(
        &self,
        image: &ImageRef,
        context: &Context,
    ) -> Result<(), BuildError> {
        let Some(Recipe { plan, steps }) = &self.recipe else {
            return Ok(());
        };
        for step in steps.iter() {
            host_step::run(step, image, context).await?;
        }
        let (plan, name) = (Arc::clone(plan), image.to_string());
        blocking(context, move |_| startable::check(&plan, &name)).await
    }
}

/// The secrets with absolute paths. Checks that files and variables exist, because some clients treat a missing variable
/// as an empty secret.
fn existing(
    secrets: &BTreeMap<SecretId, SecretSource>,
    build: &BuildContext,
    image: &str,
) -> Result<BTreeMap<SecretId, SecretSource>, BuildError> {
    let mut found = BTreeMap::new();
    for (id, source) in secrets {
        let source = match source {
            SecretSource::File(path) => {
                let path = build.project_root.join(path);
                open_regular(&path).map_err(|source| BuildError::File {
                    path: path.clone(),
                    source,
                })?;
                SecretSource::File(path)
            }
            SecretSource::Env(name) if env::var_os(name).is_none() => {
                return Err(BuildError::Recipe {
                    image: image.to_owned(),
                    reason: format!(
                        "the variable `{}` of its secret `{id}` is not set",
                        name.escape_debug()
                    ),
                    help: format!("set `{}` to the secret", name.escape_debug()),
                });
            }
            SecretSource::Env(name) => SecretSource::Env(name.clone()),
        };
        found.insert(id.clone(), source);
    }
    Ok(found)
}
