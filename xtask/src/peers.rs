//! The real programs that tests talk to. Each is found, else installed; nothing is mocked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::command;

/// Debian packages: the program that tells whether one is there, and its package.
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

/// Go programs: the environment variable that tells tests where it is, its name, its module and version.
const GO_PROGRAMS: &[(&str, &str, &str)] = &[
    (
        "HARMONY_NATS_SERVER",
        "nats-server",
        "github.com/nats-io/nats-server/v2@v2.15.2",
    ),
    ("HARMONY_HELM", "helm", "helm.sh/helm/v4/cmd/helm@v4.3.1"),
];

/// Makes every peer available, and returns the environment variables that tell tests where they are.
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
            "tests need these programs, and there is no apt-get to install them with: {}",
            missing.join(" ")
        );
    }
    command::run(Command::new("apt-get").args(["update", "-qq"]))?;
    command::run(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // No service of a package starts by itself: tests start and stop their own.
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
            bail!("tests need `{name}`: install Go, or name a {name} in {variable}");
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
