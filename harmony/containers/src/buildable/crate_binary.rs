//! Building a program of crates.io.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{BuildContext, Buildable, HostStep, ImageRecipe, StepInputs};
use harmony_core::process;
use harmony_types::Version;

use crate::buildable::Runtime;
use crate::buildable::reproducible::{Flags, Places};
use crate::buildable::rust_binary::{CODE_DATE, COMPILERS, check_platform};
use crate::fingerprint::Fingerprint;

/// A program that is published on crates.io, such as `static-web-server` at `2.44.1`.
///
/// The host step is `cargo install --locked`, for the glibc target of the platform with `crt-static`. The program is
/// compiled once per version, compiler and features, and cached with its digest.
#[derive(Debug, Clone)]
pub struct CrateBinary {
    name: String,
    version: String,
    features: BTreeSet<String>,
    cache_dir: CacheDir,
    runtime: Runtime,
}

impl CrateBinary {
    /// The program of the crate `name` at exactly this version, without the crate's default features. Programs are cached
    /// in `cache_dir`.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        cache_dir: impl Into<CacheDir>,
    ) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            features: BTreeSet::new(),
            cache_dir: cache_dir.into(),
            runtime: Runtime::default(),
        }
    }

    /// Enables these features of the crate.
    #[must_use]
    pub fn with_features<F: Into<String>>(mut self, features: impl IntoIterator<Item = F>) -> Self {
        self.features.extend(features.into_iter().map(Into::into));
        self
    }

    /// Sets how the program runs, and adds files.
    #[must_use]
    pub fn with_runtime(self, runtime: Runtime) -> Self {
        Self { runtime, ..self }
    }

    fn check(&self) -> Result<(), BuildError> {
        let is_name = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        let refuse = |reason: String, help: &str| BuildError::Recipe {
            image: self.name.clone(),
            reason,
            help: help.to_owned(),
        };
        if !is_name(&self.name) || !self.features.iter().all(|feature| is_name(feature)) {
            return Err(refuse(
                "the name of the crate or of a feature is not valid".to_owned(),
                "use letters, digits, `-` and `_`",
            ));
        }
        if self.version.parse::<Version>().is_err() {
            return Err(refuse(
                format!("`{}` is not a version", self.version.escape_debug()),
                "use a full version, such as `2.44.1`",
            ));
        }
        Ok(())
    }

    fn step(
        &self,
        flags: &Flags,
        home: &Path,
        directory: &Path,
        target: &str,
    ) -> (HostStep, PathBuf) {
        let features: Vec<_> = self.features.iter().map(String::as_str).collect();
        let mut args: Vec<String> = [
            "install",
            "--locked",
            "--no-track",
            "--no-default-features",
            &format!("--version={}", self.version),
            &format!("--features={}", features.join(",")),
            &format!("--target={target}"),
        ]
        .map(str::to_owned)
        .into();
        let portable = args.iter().chain([&self.name]).chain(&flags.portable);
        let portable = portable.cloned().collect();
        args.extend([
            format!("--root={}", home.display()),
            format!("--config={}", flags.config),
            "--".to_owned(),
            self.name.clone(),
        ]);
        let mut env = flags.env.clone();
        for (name, value) in [
            ("CARGO_TARGET_DIR", &*home.join("target").to_string_lossy()),
            ("SOURCE_DATE_EPOCH", CODE_DATE),
            ("CARGO_INCREMENTAL", "0"),
            ("CARGO_TERM_COLOR", "never"),
            ("CARGO_TERM_PROGRESS_WHEN", "never"),
        ] {
            env.insert(name.to_owned(), value.to_owned());
        }
        let inherited = process::CARGO.iter().chain(process::NETWORK);
        let output = home.join("bin").join(&self.name);
        let step = HostStep {
            label: format!("compile {} {}", self.name, self.version),
            program: "cargo".to_owned(),
            args,
            env,
            inherited_env: inherited
                .chain(COMPILERS)
                .map(|name| (*name).to_owned())
                .collect(),
            tools: flags.tools.clone(),
            portable: Some(portable),
            working_dir: directory.to_owned(),
            inputs: StepInputs::Pinned,
            outputs: vec![output.clone()],
        };
        (step, output)
    }

    /// The directory of the program: another one for each input.
    fn home(&self, cache: &Path, tools: &BTreeMap<&str, &Vec<String>>) -> PathBuf {
        let mut key = Fingerprint::default();
        key.add_all(&self.features);
        for (name, texts) in tools {
            key.add(name).add_all(*texts);
        }
        let key = key.digest();
        cache
            .join(format!("{}@{}", self.name, self.version))
            .join(key.hex().get(..16).unwrap_or_default())
    }
}

impl Buildable for CrateBinary {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        self.check()?;
        check_platform(&context.platform, &self.name)?;
        let cache = self.cache_dir.checked()?;
        let target = context.platform.rust_target();
        let directory = &context.project_root;
        let places = Places::of_crate(directory, cache.clone())?;
        let target_name = vec![target.to_owned()];
        let home = self.home(
            &cache,
            &BTreeMap::from([("tools", &places.tools), ("target", &target_name)]),
        );
        let places = Places {
            target: home.join("target"),
            ..places
        };
        let flags = Flags::new(&places, target, &[]);
        let (step, binary) = self.step(&flags, &home, directory, target);
        Ok(self.runtime.recipe(&self.name, binary, vec![step]))
    }
}
