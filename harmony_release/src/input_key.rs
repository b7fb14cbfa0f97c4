//! The inputs of a release as one hash, the same on every machine and with every builder.
//!
//! Two builders can give different bytes for the same inputs: Docker puts the build time into its images. So a release
//! that is made again is compared by its inputs first. They are the commit, which contains the sources, and everything
//! else that determines the images: the platform, Dockerfiles and their arguments, recipes, and the tools of their host
//! steps. The builder, the paths of a machine and the environment are not among them.
//!
//! A key can be missing: if a step reads files that are not part of the commit, only the content can be compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use harmony_core::image::{
    BuildContext, FileSource, HostStep, ImageRecipe, ImageSource, StepInputs,
};
use harmony_core::process;
use harmony_types::{Digest, ReleaseUnit, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::source::Source;

/// Increases when the meaning of the hashed document changes, so that keys of different meanings never match.
const FORMAT: u32 = 1;

/// The hash of the inputs of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputKey(Digest);

/// What is released, from where.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) unit: ReleaseUnit,
    pub(crate) version: Version,
    pub(crate) source: Source,
    /// The image of the app and the bundled images, by unit.
    pub(crate) images: BTreeMap<String, BuildContext>,
}

/// The key of a release; `None` if its inputs are not known completely. Reads the project, and files outside of it that
/// become part of an image.
pub(crate) async fn of_release(inputs: Inputs) -> Option<InputKey> {
    tokio::task::spawn_blocking(move || document(&inputs))
        .await
        .ok()?
        .map(|document| InputKey(hash(document.to_string().as_bytes())))
}

/// The document to hash. The keys of JSON objects are sorted.
fn document(inputs: &Inputs) -> Option<Value> {
    let mut images = BTreeMap::new();
    for (unit, context) in &inputs.images {
        let project = Project {
            repository: &inputs.source.repository,
            root: &context.project_root,
        };
        images.insert(unit, project.image(context)?);
    }
    Some(json!({
        "format": FORMAT,
        "unit": inputs.unit.as_str(),
        "version": inputs.version.to_string(),
        "commit": inputs.source.commit,
        "images": images,
    }))
}

/// A project in its repository, whose files the commit determines.
struct Project<'a> {
    /// The root of the work tree.
    repository: &'a Path,
    root: &'a Path,
}

impl Project<'_> {
    fn image(&self, context: &BuildContext) -> Option<Value> {
        let source = match &context.source {
            ImageSource::Dockerfile {
                path,
                build_args,
                secrets,
            } => {
                let ids: Vec<_> = secrets.keys().map(ToString::to_string).collect();
                json!({"dockerfile": path, "buildArgs": build_args, "secrets": ids})
            }
            ImageSource::Buildable(buildable) => match buildable.dockerfile(context).ok()? {
                Some(dockerfile) => json!({"dockerfileText": dockerfile.text}),
                None => self.recipe(&buildable.recipe(context).ok()?)?,
            },
        };
        Some(json!({
            "root": self.place(self.root)?,
            "platform": context.platform,
            "created": context.created,
            "labels": context.labels,
            "source": source,
        }))
    }

    fn recipe(&self, recipe: &ImageRecipe) -> Option<Value> {
        let mut made: BTreeMap<&Path, String> = BTreeMap::new();
        let mut steps = Vec::new();
        for (number, step) in recipe.host_steps.iter().enumerate() {
            steps.push(self.step(step)?);
            for (output, path) in step.outputs.iter().enumerate() {
                made.insert(path, format!("output {output} of step {number}"));
            }
        }
        let mut layers = Vec::new();
        for layer in &recipe.layers {
            let mut files = BTreeMap::new();
            for file in &layer.files {
                let content = match &file.source {
                    FileSource::Host(path) => match made.get(path.as_path()) {
                        Some(output) => json!({"made": output}),
                        None => json!({"content": hash_file(path).ok()?}),
                    },
                    FileSource::Bytes(bytes) => json!({"content": hash(bytes)}),
                    FileSource::Directory => json!("directory"),
                    FileSource::Symlink(target) => json!({"link": target}),
                };
                files.insert(&file.path, json!({"mode": file.mode, "source": content}));
            }
            layers.push(files);
        }
        Some(json!({
            "base": match &recipe.base {
                harmony_core::image::Base::Scratch => "scratch".to_owned(),
                harmony_core::image::Base::Image(image) => image.to_string(),
            },
            "steps": steps,
            "layers": layers,
            "entrypoint": recipe.entrypoint,
            "cmd": recipe.cmd,
            "env": recipe.env,
            "user": format!("{}:{}", recipe.user.uid, recipe.user.gid),
            "workingDir": recipe.working_dir,
            "labels": recipe.labels,
        }))
    }

    fn step(&self, step: &HostStep) -> Option<Value> {
        let inputs = match &step.inputs {
            StepInputs::Pinned => json!("pinned"),
            // The commit determines its files, because the work tree is clean.
            StepInputs::Tree(directory) => json!({"tree": self.place(directory)?}),
            StepInputs::Unknown => return None,
        };
        let command = match &step.portable {
            Some(portable) => json!(portable),
            None => self.command(step),
        };
        Some(json!({"command": command, "tools": step.tools, "inputs": inputs}))
    }

    /// A command without the paths of this project. If other paths remain, the key matches only on this machine.
    fn command(&self, step: &HostStep) -> Value {
        /// Where programs find their settings, sources and caches.
        const PLACES: [&[&str]; 4] = [
            process::NETWORK,
            process::CARGO,
            process::GO,
            process::DOCKER,
        ];
        let places: Vec<&str> = PLACES.concat();
        let without = process::inherited(&places);
        let patterns: Vec<&str> = step.inherited_env.iter().map(String::as_str).collect();
        let inherited: BTreeMap<_, _> = process::inherited(&patterns)
            .into_iter()
            .filter(|(name, _)| !without.contains_key(name))
            .map(|(name, value)| {
                let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
                (text(name), self.unplaced(&text(value)))
            })
            .collect();
        let args: Vec<_> = step.args.iter().map(|arg| self.unplaced(arg)).collect();
        let env: BTreeMap<_, _> = step
            .env
            .iter()
            .map(|(name, value)| (name, self.unplaced(value)))
            .collect();
        let directory = step.working_dir.to_string_lossy();
        json!({
            "program": step.program, "args": args, "env": env, "inherited": inherited,
            "directory": self.unplaced(&directory),
        })
    }

    fn unplaced(&self, text: &str) -> String {
        let root = self.root.to_string_lossy();
        let repository = self.repository.to_string_lossy();
        text.replace(&*root, "<project>")
            .replace(&*repository, "<repository>")
    }

    /// A path relative to the root of the repository; `None` if it is elsewhere.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        let repository = self.repository.canonicalize().ok()?;
        path.strip_prefix(repository).ok().map(Path::to_owned)
    }
}

fn hash(bytes: &[u8]) -> Digest {
    Digest::sha256_from_bytes(Sha256::digest(bytes).into())
}

fn hash_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(Digest::sha256_from_bytes(hasher.finalize().into()))
}

#[cfg(test)]
mod tests;
