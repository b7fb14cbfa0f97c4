//! Building a binary of a cargo package.

use std::collections::BTreeSet;
use std::path::PathBuf;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{BuildContext, Buildable, HostStep, ImageRecipe, StepInputs};
use harmony_core::inventory::Platform;
use harmony_core::process;

use crate::buildable::Runtime;
use crate::buildable::cargo_project::CargoProject;
use crate::buildable::reproducible::{Flags, Places};

/// The current date for code that is being compiled, in seconds since 1970: the first day of 1980, because some archive
/// formats have no earlier dates. It is not the time of the commit, because cargo recompiles crates with C code
/// whenever it changes, which takes minutes.
pub(super) const CODE_DATE: &str = "315532800";

/// The variables with which cargo and the `cc` crate select compilers and linkers, for example for another platform.
pub(super) const COMPILERS: &[&str] = &[
    "CC",
    "CXX",
    "AR",
    "CC_*",
    "CXX_*",
    "AR_*",
    "CARGO_TARGET_*_LINKER",
    "PKG_CONFIG*",
    "SDKROOT",
];

/// A binary of a cargo package, compiled on the host with its caches and linked statically.
///
/// The host step is `cargo build --release --locked` for the glibc target of the platform with `crt-static`. So
/// `Cargo.lock` must exist, and the host needs a C toolchain (Debian: `gcc libc6-dev`). The project's
/// `.cargo/config.toml` and profiles are used; environment variables that would change the result (`RUSTFLAGS`,
/// `CFLAGS`, `CARGO_PROFILE_RELEASE_*`...) are not, see [`with_rustflags`](Self::with_rustflags). Build scripts get
/// only the environment variables for cargo, the network and the selection of the C compiler. Tokens for private
/// registries belong in cargo's credentials file (`cargo login`).
///
/// **Reproducible**: two checkouts of a commit in different directories, with different `CARGO_HOME` and target
/// directories, give the same bytes with the same compilers (rustc, cc, glibc). Paths are rewritten in Rust and C code.
/// Paths that a crate deliberately includes in its *code*, with `env!("CARGO_MANIFEST_DIR")`, `env!("OUT_DIR")` or its
/// own build script, cannot be rewritten.
///
/// **Names resolve**: a static glibc includes the resolver for `/etc/hosts` and DNS (since glibc 2.34). The image
/// contains a `nsswitch.conf` that uses only these two, see [`Runtime`].
#[derive(Debug, Clone)]
pub struct RustBinary {
    package: String,
    bin: String,
    features: BTreeSet<String>,
    default_features: bool,
    rustflags: Vec<String>,
    inherited_env: BTreeSet<String>,
    runtime: Runtime,
}

impl RustBinary {
    /// The binary of `package` with the name of the package.
    pub fn new(package: impl Into<String>) -> Self {
        let package = package.into();
        Self {
            bin: package.clone(),
            package,
            features: BTreeSet::new(),
            default_features: true,
            rustflags: Vec::new(),
            inherited_env: BTreeSet::new(),
            runtime: Runtime::default(),
        }
    }

    /// Selects another binary of the package.
    #[must_use]
    pub fn with_bin(self, bin: impl Into<String>) -> Self {
        Self {
            bin: bin.into(),
            ..self
        }
    }

    /// Enables these features of the package.
    #[must_use]
    pub fn with_features<F: Into<String>>(mut self, features: impl IntoIterator<Item = F>) -> Self {
        self.features.extend(features.into_iter().map(Into::into));
        self
    }

    /// Disables the default features of the package.
    #[must_use]
    pub fn without_default_features(self) -> Self {
        Self {
            default_features: false,
            ..self
        }
    }

    /// Adds flags for rustc, after those in the project's configuration.
    #[must_use]
    pub fn with_rustflags<F: Into<String>>(mut self, flags: impl IntoIterator<Item = F>) -> Self {
        self.rustflags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// Passes these variables of our environment to build scripts, such as `PROTOC`. Their values become inputs of the
    /// image.
    #[must_use]
    pub fn with_inherited_env<V: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = V>,
    ) -> Self {
        self.inherited_env.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets how the program runs, and adds files.
    #[must_use]
    pub fn with_runtime(self, runtime: Runtime) -> Self {
        Self { runtime, ..self }
    }

    fn step(
        &self,
        project: &CargoProject,
        flags: &Flags,
        context: &BuildContext,
    ) -> (HostStep, PathBuf) {
        let target = context.platform.rust_target();
        let output = project
            .target_directory
            .join(target)
            .join("release")
            .join(&self.bin);
        let mut args: Vec<String> = [
            "build",
            "--release",
            "--locked",
            &format!("--package={}", self.package),
            &format!("--bin={}", self.bin),
            &format!("--target={target}"),
            &format!("--config={}", flags.config),
        ]
        .map(str::to_owned)
        .to_vec();
        if !self.features.is_empty() {
            let features: Vec<_> = self.features.iter().map(String::as_str).collect();
            args.push(format!("--features={}", features.join(",")));
        }
        if !self.default_features {
            args.push("--no-default-features".to_owned());
        }
        let mut portable = args.clone();
        // Its paths do not affect the result.
        portable.retain(|arg| !arg.starts_with("--config="));
        portable.extend(flags.portable.iter().cloned());
        let mut env = flags.env.clone();
        env.insert("SOURCE_DATE_EPOCH".to_owned(), CODE_DATE.to_owned());
        // Incremental compilation depends on earlier builds.
        env.insert("CARGO_INCREMENTAL".to_owned(), "0".to_owned());
        env.insert("CARGO_TERM_COLOR".to_owned(), "never".to_owned());
        env.insert("CARGO_TERM_PROGRESS_WHEN".to_owned(), "never".to_owned());
        let inherited = process::CARGO
            .iter()
            .chain(process::NETWORK)
            .chain(COMPILERS);
        let step = HostStep {
            label: format!("compile {}", self.bin),
            program: "cargo".to_owned(),
            args,
            env,
            inherited_env: inherited
                .map(|name| (*name).to_owned())
                .chain(self.inherited_env.iter().cloned())
                .collect(),
            tools: flags.tools.clone(),
            portable: Some(portable),
            working_dir: project.workspace_root.clone(),
            inputs: if project.is_self_contained {
                StepInputs::Tree(project.workspace_root.clone())
            } else {
                StepInputs::Unknown
            },
            outputs: vec![output.clone()],
        };
        (step, output)
    }
}

impl Buildable for RustBinary {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        check_platform(&context.platform, &self.package)?;
        let project = CargoProject::find(&context.project_root, &self.package, &self.bin)?;
        let places = Places::find(&project)?;
        let flags = Flags::new(&places, context.platform.rust_target(), &self.rustflags);
        let (step, binary) = self.step(&project, &flags, context);
        Ok(self.runtime.recipe(&self.bin, binary, vec![step]))
    }
}

pub(super) fn check_platform(platform: &Platform, package: &str) -> Result<(), BuildError> {
    if platform.os == "linux" && matches!(platform.architecture, "amd64" | "arm64") {
        return Ok(());
    }
    Err(BuildError::Recipe {
        image: package.to_owned(),
        reason: format!("no Rust target is known for the platform `{platform}`"),
        help: "build for `linux/amd64` or `linux/arm64`".to_owned(),
    })
}

#[cfg(test)]
mod tests;
