//! The servers and programs for tests. Each is found or installed; nothing is mocked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::command;

/// Debian packages: a program to check for, and the package that contains it.
const PACKAGES: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("conntrack", "conntrack"),
    ("socat", "socat"),
    ("docker-registry", "docker-registry"),
    ("htpasswd", "apache2-utils"),
    ("dockerd", "docker.io"),
    ("skopeo", "skopeo"),
    ("/bin/busybox", "busybox-static"),
    ("promtool", "prometheus"),
    ("amtool", "prometheus-alertmanager"),
    ("redis-server", "redis-server"),
    ("podman", "podman"),
];

/// Go programs: the environment variable for tests, the name, the module and version.
const GO_PROGRAMS: &[(&str, &str, &str)] = &[
    (
        "HARMONY_NATS_SERVER",
        "nats-server",
        "github.com/nats-io/nats-server/v2@v2.15.2",
    ),
    ("HARMONY_HELM", "helm", "helm.sh/helm/v4/cmd/helm@v4.3.1"),
];

/// Programs of Go modules that `go install MODULE@VERSION` refuses, because their go.mod has `replace` directives.
const GO_MODULES: &[GoModule] = &[GoModule {
    module: "github.com/moby/buildkit",
    version: "v0.34.2",
    tags: "",
    programs: &[
        ("HARMONY_BUILDKITD", "buildkitd", "cmd/buildkitd"),
        ("HARMONY_BUILDCTL", "buildctl", "cmd/buildctl"),
    ],
}];

struct GoModule {
    module: &'static str,
    version: &'static str,
    /// Build tags, separated by commas.
    tags: &'static str,
    /// The environment variable for tests, the name, and the package in the module.
    programs: &'static [(&'static str, &'static str, &'static str)],
}

/// Go modules of which tests read files: the environment variable with their directory, the module and version.
const GO_SOURCES: &[(&str, &str)] = &[(
    "HARMONY_PROMETHEUS_OPERATOR",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0",
)];

/// Modules of our own in `xtask/peers`, for programs that cannot be installed by their own module's version.
const OWN_GO_MODULES: &[GoModule] = &[
    GoModule {
        module: "xtask/peers/argocd",
        version: "v3.2.6",
        tags: "",
        programs: &[("HARMONY_ARGOCD", "argocd", "")],
    },
    GoModule {
        module: "xtask/peers/flux",
        version: "v2.7.3",
        tags: "",
        programs: &[
            (
                "HARMONY_FLUX_SOURCE_CONTROLLER",
                "source-controller",
                "github.com/fluxcd/source-controller",
            ),
            (
                "HARMONY_FLUX_HELM_CONTROLLER",
                "helm-controller",
                "github.com/fluxcd/helm-controller",
            ),
            (
                "HARMONY_FLUX_KUSTOMIZE_CONTROLLER",
                "kustomize-controller",
                "github.com/fluxcd/kustomize-controller",
            ),
        ],
    },
    GoModule {
        module: "xtask/peers/prometheus-operator",
        version: "v0.85.0",
        tags: "",
        programs: &[
            (
                "HARMONY_PROMETHEUS_OPERATOR_PROGRAM",
                "operator",
                "github.com/prometheus-operator/prometheus-operator/cmd/operator",
            ),
            (
                "HARMONY_PROMETHEUS_CONFIG_RELOADER",
                "prometheus-config-reloader",
                "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader",
            ),
        ],
    },
    GoModule {
        module: "xtask/peers/prometheus",
        version: "v0.310.0",
        // Debian's lacks the service discovery of Kubernetes, and this one needs no other.
        tags: "remove_all_sd,enable_kubernetes_sd",
        programs: &[(
            "HARMONY_PROMETHEUS_PROGRAM",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/prometheus",
        )],
    },
];

/// Installs everything that is missing, and returns the environment variables for tests.
pub(crate) fn ensure() -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    install_packages()?;
    let mut found = Vec::new();
    for (variable, name, module) in GO_PROGRAMS {
        found.push((*variable, go_program(variable, name, module)?));
    }
    for module in GO_MODULES {
        found.extend(go_module(module)?);
    }
    for (variable, module) in GO_SOURCES {
        found.push((*variable, go_source(variable, module)?));
    }
    for module in OWN_GO_MODULES {
        found.extend(own_module(module)?);
    }
    Ok(found)
}

/// The directory of a module in Go's cache. Nothing is compiled.
fn go_source(variable: &str, module: &str) -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(std::env::temp_dir())
        .output()
        .with_context(|| format!("tests need the Go module `{module}`: install Go"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Of all the fields, only the directory is of interest.
    let directory = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"Dir\": \""))
        .and_then(|rest| rest.split('"').next());
    directory.map(PathBuf::from).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("cannot download the Go module `{module}`: {text}{errors}")
    })
}

fn install_packages() -> anyhow::Result<()> {
    let is_there = |probe: &str| {
        if probe.starts_with('/') {
            Path::new(probe).exists()
        } else {
            command::find(probe).is_some()
        }
    };
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(probe, _)| !is_there(probe))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("xtask: installing {}", missing.join(" "));
    if command::find("apt-get").is_none() {
        bail!(
            "tests need these programs, and apt-get is not available to install them: {}",
            missing.join(" ")
        );
    }
    command::run(Command::new("apt-get").args(["update", "-qq"]))?;
    command::run(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Services of the packages do not start by themselves; tests start and stop their own.
            .env("RUNLEVEL", "1"),
    )
    .with_context(|| format!("tests need these Debian packages: {}", missing.join(" ")))
}

/// Installs only nats-server.
pub(crate) fn nats_server() -> anyhow::Result<(&'static str, PathBuf)> {
    let (variable, name, module) = GO_PROGRAMS[0];
    Ok((variable, go_program(variable, name, module)?))
}

fn go_program(variable: &str, name: &str, module: &str) -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let (_, version) = module
        .rsplit_once('@')
        .context("a module is named with its version")?;
    let folder = cache_dir()?
        .join("test-peers")
        .join(format!("{name}-{version}"));
    let program = folder.join(name);
    if !program.is_file() {
        if command::find("go").is_none() {
            bail!("tests need `{name}`: install Go, or set {variable} to a {name} program");
        }
        println!("xtask: building {name} {version}");
        let began = Instant::now();
        let building = folder.with_file_name(format!("{name}-{version}.building"));
        command::run(
            Command::new("go")
                .args(["install", "-trimpath", "-ldflags=-s -w", module])
                .env("GOBIN", &building)
                .env("CGO_ENABLED", "0")
                .env("GOFLAGS", "-mod=mod"),
        )?;
        std::fs::create_dir_all(&folder)?;
        std::fs::rename(building.join(name), &program)?;
        println!("xtask: built {name} in {} s", began.elapsed().as_secs());
    }
    Ok(program)
}

/// Builds the programs in a generated module that requires theirs.
fn go_module(module: &GoModule) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    programs(module, |building| {
        std::fs::write(
            building.join("go.mod"),
            format!(
                "module peers\n\ngo 1.26\n\nrequire {} {}\n",
                module.module, module.version
            ),
        )?;
        let packages = module
            .programs
            .iter()
            .map(|(_, _, package)| format!("{}/{package}", module.module));
        command::run(
            go_build(module, building)
                .args(packages)
                .current_dir(building)
                .env("GOFLAGS", "-mod=mod -buildvcs=false"),
        )
    })
}

/// Builds the programs of a module in this repository.
fn own_module(module: &GoModule) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    programs(module, |building| {
        let packages = module
            .programs
            .iter()
            .map(|(_, _, package)| match *package {
                "" => ".",
                package => package,
            });
        command::run(
            go_build(module, building)
                .args(packages)
                .current_dir(command::root().join(module.module))
                .env("GOFLAGS", "-mod=readonly"),
        )
    })
}

/// Without debug information and paths of this machine, as the program of the local node: both then share the compiled
/// packages that they have in common.
fn go_build(module: &GoModule, output: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-ldflags=-s -w", "-tags"])
        .args([module.tags, "-o"])
        .arg(output.join(""))
        .env("CGO_ENABLED", "0");
    command
}

/// The programs of a module, which `build` puts into a folder if one of them is missing.
fn programs(
    module: &GoModule,
    build: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    let (_, name) = module.module.rsplit_once('/').context("a path")?;
    let folder = cache_dir()?
        .join("test-peers")
        .join(format!("{name}-{}", module.version));
    let programs: Vec<_> = module
        .programs
        .iter()
        .map(|(variable, name, _)| {
            let named = std::env::var_os(variable).map(PathBuf::from);
            (*variable, named.unwrap_or_else(|| folder.join(name)))
        })
        .collect();
    if programs.iter().all(|(_, program)| program.is_file()) {
        return Ok(programs);
    }
    if command::find("go").is_none() {
        bail!("tests need {name}: install Go");
    }
    println!("xtask: building {name} {}", module.version);
    let began = Instant::now();
    let building = folder.with_file_name(format!("{name}-{}.building", module.version));
    std::fs::create_dir_all(&building)?;
    build(&building)?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::rename(&building, &folder)?;
    println!("xtask: built {name} in {} s", began.elapsed().as_secs());
    Ok(programs)
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(cache
        .or(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("harmony"))
}
