//! Building a command of a Go module.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{BuildContext, Buildable, HostStep, ImageRecipe, StepInputs};
use harmony_core::inventory::Platform;
use harmony_core::process;

use crate::buildable::Runtime;
use crate::host_step::program_missing;

/// The user's settings for the source of modules. None of them affects the result.
const SETTINGS: &[&str] = &[
    "GOAUTH",
    "GOCACHE",
    "GOINSECURE",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPATH",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "GOTOOLCHAIN",
    "GOVCS",
];

/// The variables that Go may need to download a module from a version control system or a private proxy. Without C, `go
/// install` runs no code of the modules it compiles.
const FETCHING: &[&str] = &[
    "NETRC",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
];

/// Variables that affect the program, and therefore have fixed values. `GOENV=off` ignores the settings of `go env -w`.
const FIXED: &[(&str, &str)] = &[
    ("CGO_ENABLED", "0"),
    ("GO386", "sse2"),
    ("GOAMD64", "v1"),
    ("GOARM", "7"),
    ("GOARM64", "v8.0"),
    ("GOENV", "off"),
    ("GOEXPERIMENT", ""),
    ("GOFIPS140", "off"),
    ("GOFLAGS", ""),
    ("GOWORK", "off"),
];

/// A command of a Go module at a version, such as `github.com/nats-io/nats-server/v2` at `v2.15.2`.
///
/// It is downloaded from the module proxy and verified with the checksum database, according to the Go settings of the
/// host (`GOPROXY`, `GOSUMDB`...). It is compiled once per version of the command and of Go, without C and without
/// paths of this machine, and cached with its digest. Settings that affect the program (`GOAMD64`, `GOFLAGS`,
/// `GOEXPERIMENT`...) are the same on every machine, whatever the environment or `go env -w` contains.
#[derive(Debug, Clone)]
pub struct GoBinary {
    package: String,
    version: String,
    cache_dir: CacheDir,
    runtime: Runtime,
}

impl GoBinary {
    /// The command `package` at `version`. Binaries are cached in `cache_dir`.
    ///
    /// `package` is the import path of the command, which is often the module itself.
    pub fn new(
        package: impl Into<String>,
        version: impl Into<String>,
        cache_dir: impl Into<CacheDir>,
    ) -> Self {
        Self {
            package: package.into(),
            version: version.into(),
            cache_dir: cache_dir.into(),
            runtime: Runtime::default(),
        }
    }

    /// Sets how the program runs, and adds files.
    #[must_use]
    pub fn with_runtime(self, runtime: Runtime) -> Self {
        Self { runtime, ..self }
    }

    fn check(&self) -> Result<&str, BuildError> {
        let refuse = |reason: String, help: &str| BuildError::Recipe {
            image: self.package.clone(),
            reason,
            help: help.to_owned(),
        };
        let legal = |text: &str| {
            !text.is_empty()
                && !text.starts_with(['-', '/', '.'])
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~/+!".contains(c))
                && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
        };
        let name = command_name(&self.package);
        if !legal(&self.package) || name.is_empty() {
            return Err(refuse(
                format!("`{}` is not a Go import path", self.package.escape_debug()),
                "use an import path such as `github.com/nats-io/nats-server/v2`",
            ));
        }
        // `latest` or a branch could give a different program tomorrow.
        let pinned = self.version.strip_prefix('v').is_some_and(|rest| {
            rest.split(['.', '-', '+']).count() >= 3
                && rest.starts_with(|c: char| c.is_ascii_digit())
        });
        if !legal(&self.version) || self.version.contains('/') || !pinned {
            return Err(refuse(
                format!(
                    "`{}` is not a version of a Go module",
                    self.version.escape_debug()
                ),
                "use a full version with its `v`, such as `v2.15.2`",
            ));
        }
        Ok(name)
    }

    fn step(
        &self,
        name: &str,
        go: &GoHost,
        cache: &Path,
        platform: &Platform,
        project_root: &Path,
    ) -> (HostStep, PathBuf) {
        let cross = platform.architecture != go.architecture || platform.os != go.os;
        let home = cache
            .join(format!(
                "{}@{}",
                self.package.replace('/', "_"),
                self.version
            ))
            .join(format!(
                "{}-{}-{}",
                go.version, platform.os, platform.architecture
            ));
        let mut env = go.settings.clone();
        env.extend(
            FIXED
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        env.insert("GOOS".to_owned(), platform.os.to_owned());
        env.insert("GOARCH".to_owned(), platform.architecture.to_owned());
        let mut bin = home.join("bin");
        if cross {
            // `go install` does not allow GOBIN for another platform, and creates this directory itself.
            bin.push(format!("{}_{}", platform.os, platform.architecture));
            env.insert("GOPATH".to_owned(), text(&home));
        } else {
            env.insert("GOBIN".to_owned(), text(&bin));
        }
        // On the same file system as the result, so that Go renames the binary instead of copying it.
        env.insert("GOTMPDIR".to_owned(), text(&bin));
        let output = bin.join(name);
        let inherited = process::NETWORK.iter().chain(FETCHING);
        let portable = [format!("go install {}@{}", self.package, self.version)]
            .into_iter()
            .chain(FIXED.iter().map(|(name, value)| format!("{name}={value}")))
            .chain([format!("platform {platform}")]);
        let step = HostStep {
            label: format!("compile {name} {}", self.version),
            program: "go".to_owned(),
            args: [
                "install",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags=-s -w -buildid=",
                "--",
                &format!("{}@{}", self.package, self.version),
            ]
            .map(str::to_owned)
            .to_vec(),
            env,
            inherited_env: inherited.map(|name| (*name).to_owned()).collect(),
            tools: vec![go.version.clone()],
            portable: Some(portable.collect()),
            working_dir: project_root.to_owned(),
            inputs: StepInputs::Pinned,
            outputs: vec![output.clone()],
        };
        (step, output)
    }
}

impl Buildable for GoBinary {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        let name = self.check()?;
        let cache = self.cache_dir.checked()?;
        let go = GoHost::ask()?;
        let (step, binary) = self.step(name, &go, &cache, &context.platform, &context.project_root);
        Ok(self.runtime.recipe(name, binary, vec![step]))
    }
}

/// The version of `go` and the user's settings.
#[derive(Debug)]
struct GoHost {
    version: String,
    os: String,
    architecture: String,
    /// The settings for the source and the cache of modules.
    settings: BTreeMap<String, String>,
}

impl GoHost {
    fn ask() -> Result<Self, BuildError> {
        let output = process::command("go", &["GO*"])
            .args(["env", "-json", "GOVERSION", "GOHOSTOS", "GOHOSTARCH"])
            .args(SETTINGS)
            .current_dir(env::temp_dir())
            .output()
            .map_err(|_| program_missing("go"))?;
        let unusable = |lines: String| BuildError::HostStep {
            image: "a Go program".to_owned(),
            program: "go env".to_owned(),
            status: output.status.to_string(),
            output: lines.lines().map(str::to_owned).collect(),
        };
        if !output.status.success() {
            return Err(unusable(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ));
        }
        let mut settings: BTreeMap<String, String> =
            serde_json::from_slice(&output.stdout).map_err(|error| unusable(error.to_string()))?;
        let mut take = |name: &str| settings.remove(name).unwrap_or_default();
        Ok(Self {
            version: take("GOVERSION"),
            os: take("GOHOSTOS"),
            architecture: take("GOHOSTARCH"),
            settings,
        })
    }
}

/// `github.com/nats-io/nats-server/v2` -> `nats-server`: the last part that is not a major version.
fn command_name(package: &str) -> &str {
    let mut parts = package.rsplit('/');
    let last = parts.next().unwrap_or_default();
    let is_major = last
        .strip_prefix('v')
        .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()));
    if is_major {
        parts.next().unwrap_or_default()
    } else {
        last
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_named_as_go_names_it() {
        for (package, name) in [
            ("github.com/nats-io/nats-server/v2", "nats-server"),
            ("helm.sh/helm/v4/cmd/helm", "helm"),
            ("github.com/google/ko", "ko"),
            ("example.com/v2", "example.com"),
            ("example.com/very", "very"),
        ] {
            assert_eq!(command_name(package), name);
        }
    }

    #[test]
    fn only_full_versions_and_import_paths_are_taken() {
        let check = |package: &str, version: &str| {
            GoBinary::new(package, version, "/cache")
                .check()
                .map(str::to_owned)
        };
        assert_eq!(check("example.com/app", "v1.2.3").unwrap(), "app");
        assert!(check("example.com/app", "v0.0.0-20240101000000-abcdef123456").is_ok());
        for version in [
            "latest", "main", "v1", "v1.2", "1.2.3", "", "v1.2.3/x", "vx.y.z", "-v1.2.3",
        ] {
            assert!(check("example.com/app", version).is_err(), "{version}");
        }
        for package in ["", "-x", "/app", "./app", "a/../b", "a//b", "a b", "v2"] {
            assert!(check(package, "v1.2.3").is_err(), "{package}");
        }
    }

    #[test]
    fn each_version_of_command_and_compiler_has_its_place() {
        let go = GoHost {
            version: "go1.26.8".into(),
            os: "linux".into(),
            architecture: "amd64".into(),
            settings: BTreeMap::from([("GOPROXY".into(), "https://proxy.test".into())]),
        };
        let binary = GoBinary::new("example.com/app/v2", "v2.0.1", "/cache");
        let host = Platform {
            os: "linux",
            architecture: "amd64",
        };
        let (step, output) = binary.step("app", &go, Path::new("/cache"), &host, Path::new("/"));
        assert_eq!(
            output,
            Path::new("/cache/example.com_app_v2@v2.0.1/go1.26.8-linux-amd64/bin/app")
        );
        assert_eq!(step.outputs, [output]);
        assert_eq!(step.env["GOPROXY"], "https://proxy.test");
        for (name, value) in FIXED {
            assert_eq!(step.env[*name], *value);
        }
        let inherits = |name: &str| step.inherited_env.contains(name);
        assert!(inherits("HTTPS_PROXY") && !inherits("GO*") && !inherits("GOFLAGS"));
        assert!(step.env.contains_key("GOBIN"));
        let foreign = Platform {
            os: "linux",
            architecture: "arm64",
        };
        let (step, output) = binary.step("app", &go, Path::new("/cache"), &foreign, Path::new("/"));
        assert_eq!(
            output,
            Path::new("/cache/example.com_app_v2@v2.0.1/go1.26.8-linux-arm64/bin/linux_arm64/app")
        );
        assert!(!step.env.contains_key("GOBIN"));
    }
}
