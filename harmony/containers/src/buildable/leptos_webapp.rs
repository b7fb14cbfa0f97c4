//! Building Leptos apps.

mod dockerfile;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{
    BuildContext, Buildable, DockerfileText, FileEntry, FileSource, HostStep, ImageRecipe,
    StepInputs,
};
use harmony_core::process;
use harmony_types::ImageRef;
use walkdir::WalkDir;

use crate::buildable::Runtime;
use crate::buildable::cargo_project::CargoProject;
use crate::buildable::reproducible::{Flags, Places, rustc};
use crate::buildable::rust_binary::{CODE_DATE, COMPILERS, check_platform};
use crate::buildable::static_site::SITE;

/// The target of code for browsers.
const WASM: &str = "wasm32-unknown-unknown";

/// A Leptos app: a program for the server and code for the browser, or only the latter.
///
/// Docker and BuildKit get a Dockerfile that compiles everything inside of the builder, with cache mounts for BuildKit; the
/// machine itself needs no Rust. Other builders compile on the host with `cargo leptos`, which must be installed together
/// with the target `wasm32-unknown-unknown`. Both give the program in `/usr/local/bin`, the site in `/srv/site`, and the
/// variables `LEPTOS_*` that the program reads.
///
/// The settings are those in `[package.metadata.leptos]` of the package.
#[derive(Debug, Clone)]
pub struct LeptosWebapp {
    package: String,
    rendering: Rendering,
    compiler: ImageRef,
    runtime: Runtime,
}

/// Where the pages of a Leptos app are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// On the server first, with `cargo leptos`.
    Server,
    /// Only in the browser, with `trunk`. The image serves the files as [`StaticSite`](crate::StaticSite) does.
    Browser,
}

impl LeptosWebapp {
    /// The port on which the app listens.
    pub const PORT: u16 = 8080;

    /// The image with the compilers for Docker and BuildKit.
    pub const COMPILER: &'static str = "docker.io/library/rust:1.95-bookworm";

    /// The app of this package.
    pub fn new(package: impl Into<String>, rendering: Rendering) -> Self {
        Self {
            package: package.into(),
            rendering,
            compiler: ImageRef::parse(Self::COMPILER).expect("a valid reference"),
            runtime: Runtime::default(),
        }
    }

    /// Compiles in this image, which has Debian, rustup and cargo. With a digest, the compilers never change.
    #[must_use]
    pub fn with_compiler(self, compiler: ImageRef) -> Self {
        Self { compiler, ..self }
    }

    /// Sets how the program runs, and adds files. Used with [`Rendering::Server`], by builders without a Dockerfile.
    #[must_use]
    pub fn with_runtime(self, runtime: Runtime) -> Self {
        Self { runtime, ..self }
    }

    fn settings(&self, project: &CargoProject) -> Result<Settings, BuildError> {
        let refuse = |reason: &str, help: &str| BuildError::Recipe {
            image: self.package.clone(),
            reason: reason.to_owned(),
            help: help.to_owned(),
        };
        let metadata = &project.metadata["leptos"];
        if !metadata.is_object() {
            return Err(refuse(
                "the package has no `[package.metadata.leptos]`",
                "add it to Cargo.toml, with at least `output-name`",
            ));
        }
        if metadata["hash-files"].as_bool() == Some(true) {
            return Err(refuse(
                "`hash-files` gives its files names that are not known before the build",
                "remove it, or build with Docker or BuildKit",
            ));
        }
        let text = |name: &str, default: &str| {
            let value = metadata[name].as_str().unwrap_or(default);
            value.to_owned()
        };
        Ok(Settings {
            output_name: text("output-name", &self.package),
            site_root: text("site-root", "target/site"),
            package_directory: text("site-pkg-dir", "pkg"),
            assets: metadata["assets-dir"].as_str().map(str::to_owned),
            has_style: metadata["style-file"].is_string(),
        })
    }

    fn native(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        check_platform(&context.platform, &self.package)?;
        let root = &context.project_root;
        let project = CargoProject::find(root, &self.package, &self.package)?;
        let settings = self.settings(&project)?;
        check_target(root)?;
        let target = context.platform.rust_target();
        let flags = Flags::new(&Places::find(&project)?, target, &[]);
        let program = project
            .target_directory
            .join(target)
            .join("release")
            .join(&self.package);
        let site = project.workspace_root.join(&settings.site_root);
        let (step, files) =
            self.step(&project, &settings, &flags, target, program.clone(), &site)?;
        let mut runtime = self.runtime.clone();
        runtime.files.extend(files);
        for (name, value) in settings.variables() {
            runtime.env.entry(name).or_insert(value);
        }
        Ok(runtime.recipe(&self.package, program, vec![step]))
    }

    fn step(
        &self,
        project: &CargoProject,
        settings: &Settings,
        flags: &Flags,
        target: &str,
        program: PathBuf,
        site: &Path,
    ) -> Result<(HostStep, Vec<FileEntry>), BuildError> {
        let mut files = Vec::new();
        let mut outputs = vec![program];
        let mut add = |relative: &str, output: bool| {
            let host = site.join(relative);
            if output {
                outputs.push(host.clone());
            }
            files.push(FileEntry {
                path: format!("{SITE}/{relative}"),
                source: FileSource::Host(host),
                mode: 0o644,
            });
        };
        for name in settings.generated() {
            add(&name, true);
        }
        for name in assets(project, settings)? {
            add(&name, true);
        }
        let args = ["leptos", "build", "--release", "--project", &self.package];
        let args: Vec<String> = args.map(str::to_owned).into();
        let mut env = flags.env.clone();
        let target_flags = target.to_uppercase().replace('-', "_");
        let rustflags = format!("CARGO_TARGET_{target_flags}_RUSTFLAGS");
        for (name, value) in [
            ("LEPTOS_BIN_TARGET_TRIPLE", target),
            (&*rustflags, &*flags.rustflags.join(" ")),
            ("SOURCE_DATE_EPOCH", CODE_DATE),
            ("CARGO_INCREMENTAL", "0"),
            ("CARGO_TERM_COLOR", "never"),
        ] {
            env.insert(name.to_owned(), value.to_owned());
        }
        let portable = args.iter().chain(&flags.portable).cloned();
        let portable = portable.chain([target.to_owned()]).collect();
        let inherited = process::CARGO.iter().chain(process::NETWORK);
        let step = HostStep {
            label: format!("compile {} with cargo leptos", self.package),
            program: "cargo-leptos".to_owned(),
            args,
            env,
            inherited_env: inherited
                .chain(COMPILERS)
                .map(|name| (*name).to_owned())
                .collect(),
            tools: flags.tools.clone(),
            portable: Some(portable),
            working_dir: project.workspace_root.clone(),
            // cargo-leptos downloads tools of the versions that it selects.
            inputs: StepInputs::Unknown,
            outputs,
        };
        Ok((step, files))
    }
}

impl Buildable for LeptosWebapp {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        match self.rendering {
            Rendering::Server => self.native(context),
            Rendering::Browser => Err(BuildError::Recipe {
                image: self.package.clone(),
                reason: "the names of the files that `trunk` writes are not known before it runs"
                    .to_owned(),
                help:
                    "build with Docker or BuildKit, or run `trunk build --release` first and use \
                       `StaticSite::new(\"dist\", ...)`"
                        .to_owned(),
            }),
        }
    }

    fn dockerfile(&self, context: &BuildContext) -> Result<Option<DockerfileText>, BuildError> {
        check_platform(&context.platform, &self.package)?;
        if !self
            .package
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        {
            return Err(BuildError::Recipe {
                image: self.package.clone(),
                reason: "this is not the name of a package".to_owned(),
                help: "use the name in its Cargo.toml".to_owned(),
            });
        }
        Ok(Some(dockerfile::render(
            &self.package,
            self.rendering,
            &self.compiler,
            context.platform.rust_target(),
        )))
    }
}

/// The settings of an app that determine where its files are.
#[derive(Debug)]
struct Settings {
    output_name: String,
    site_root: String,
    package_directory: String,
    assets: Option<String>,
    has_style: bool,
}

impl Settings {
    /// The files that are compiled, relative to the site.
    fn generated(&self) -> Vec<String> {
        let kinds = ["js", "wasm"]
            .into_iter()
            .chain(self.has_style.then_some("css"));
        kinds
            .map(|kind| format!("{}/{}.{kind}", self.package_directory, self.output_name))
            .collect()
    }

    /// The variables that the program reads.
    fn variables(&self) -> BTreeMap<String, String> {
        [
            ("LEPTOS_OUTPUT_NAME", self.output_name.as_str()),
            ("LEPTOS_SITE_ROOT", SITE),
            ("LEPTOS_SITE_PKG_DIR", &self.package_directory),
            ("LEPTOS_SITE_ADDR", dockerfile::ADDRESS),
            ("LEPTOS_ENV", "PROD"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// The files of the assets directory, which are copied to the site.
fn assets(project: &CargoProject, settings: &Settings) -> Result<Vec<String>, BuildError> {
    let Some(directory) = &settings.assets else {
        return Ok(Vec::new());
    };
    let root = project.package_root.join(directory);
    let mut names = Vec::new();
    for found in WalkDir::new(&root).sort_by_file_name() {
        let found = found.map_err(|error| BuildError::File {
            path: error.path().unwrap_or(&root).to_owned(),
            source: error.into(),
        })?;
        let relative = found.path().strip_prefix(&root).unwrap_or(found.path());
        if found.file_type().is_file() {
            names.push(relative.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Checks that the standard library for browsers is installed.
fn check_target(root: &Path) -> Result<(), BuildError> {
    let libraries = rustc(root, &["--print", "target-libdir", "--target", WASM])?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    Err(BuildError::TargetMissing {
        target: WASM,
        able: vec![
            "harmony_containers::DockerBuilder",
            "harmony_containers::BuildKitBuilder",
        ],
    })
}

#[cfg(test)]
mod tests;
