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

/// Installs everything that is missing, and returns the environment variables for tests.
pub(crate) fn ensure() -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    install_packages()?;
    GO_PROGRAMS
        .iter()
        .map(|(variable, name, module)| Ok((*variable, go_program(variable, name, module)?)))
        .collect()
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

fn cache_dir() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(cache
        .or(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("harmony"))
}
