//! The programs of the Linux distribution: finds them, or installs them with apt.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use harmony_core::Context;
use harmony_core::event::Step;
use harmony_core::process::{NETWORK, command, find_in};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::error::LocalNodeError;
use super::process;
use super::tool;

/// The paths of the programs.
#[derive(Debug, Clone)]
pub(super) struct HostPrograms {
    pub(super) containerd: PathBuf,
    pub(super) ctr: PathBuf,
    pub(super) runc: PathBuf,
    pub(super) ip: PathBuf,
    pub(super) iptables: PathBuf,
    pub(super) setsid: PathBuf,
    /// The directory of the network plug-ins.
    pub(super) cni_plugins: PathBuf,
}

/// A program and its Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    program: &'static str,
    package: &'static str,
}

const PROGRAMS: [Wanted; 9] = [
    Wanted {
        program: "containerd",
        package: "containerd",
    },
    Wanted {
        program: "containerd-shim-runc-v2",
        package: "containerd",
    },
    Wanted {
        program: "ctr",
        package: "containerd",
    },
    Wanted {
        program: "runc",
        package: "runc",
    },
    Wanted {
        program: "ip",
        package: "iproute2",
    },
    Wanted {
        program: "iptables",
        package: "iptables",
    },
    Wanted {
        program: "iptables-save",
        package: "iptables",
    },
    Wanted {
        program: "setsid",
        package: "util-linux",
    },
    Wanted {
        program: "mount",
        package: "mount",
    },
];

/// The directories of network plug-ins in Debian, upstream, Alpine and Fedora.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/lib/cni",
    "/opt/cni/bin",
    "/usr/libexec/cni",
    "/usr/lib/cni/bin",
];
const PLUGINS: [&str; 4] = ["ptp", "host-local", "portmap", "loopback"];
const PLUGIN_PACKAGE: &str = "containernetworking-plugins";

/// Finds the programs, installs what is missing with apt, and finds them again.
///
/// # Errors
/// [`LocalNodeError::PackagesMissing`] without apt; [`LocalNodeError::PackageInstall`] if it fails.
pub(super) async fn ensure(ctx: &Context) -> Result<HostPrograms, LocalNodeError> {
    let missing = match find() {
        Ok(found) => return Ok(found),
        Err(missing) => missing,
    };
    let packages = packages_of(&missing);
    install(ctx, &packages).await?;
    find().map_err(|missing| refuse(&missing))
}

fn refuse(missing: &[Wanted]) -> LocalNodeError {
    LocalNodeError::PackagesMissing {
        programs: missing
            .iter()
            .map(|wanted| wanted.program.to_owned())
            .collect(),
        packages: packages_of(missing),
    }
}

fn packages_of(missing: &[Wanted]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|wanted| wanted.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The installed programs, or the missing ones as an error. Installs nothing.
pub(super) fn find_installed() -> Result<HostPrograms, LocalNodeError> {
    find().map_err(|missing| refuse(&missing))
}

fn find() -> Result<HostPrograms, Vec<Wanted>> {
    let mut missing: Vec<Wanted> = PROGRAMS
        .into_iter()
        .filter(|wanted| search(wanted.program).is_none())
        .collect();
    let plugins = PLUGIN_FOLDERS
        .iter()
        .map(Path::new)
        .find(|folder| PLUGINS.iter().all(|plugin| folder.join(plugin).is_file()));
    if plugins.is_none() {
        missing.push(Wanted {
            program: "the network plugins of containers",
            package: PLUGIN_PACKAGE,
        });
    }
    let path = |program: &str| search(program).unwrap_or_default();
    match plugins {
        Some(plugins) if missing.is_empty() => Ok(HostPrograms {
            containerd: path("containerd"),
            ctr: path("ctr"),
            runc: path("runc"),
            ip: path("ip"),
            iptables: path("iptables"),
            setsid: path("setsid"),
            cni_plugins: plugins.to_owned(),
        }),
        _ => Err(missing),
    }
}

pub(crate) fn search(program: &str) -> Option<PathBuf> {
    find_in(program, process::search_path())
}

/// Installs Debian packages without their recommended packages.
pub(super) async fn install(
    ctx: &Context,
    packages: &[&'static str],
) -> Result<(), LocalNodeError> {
    let Some(apt) = search("apt-get") else {
        return Err(LocalNodeError::PackagesMissing {
            programs: packages
                .iter()
                .map(|package| (*package).to_owned())
                .collect(),
            packages: packages.to_vec(),
        });
    };
    let step = ctx.step(format!("install {} with apt", packages.join(", ")));
    let mut install = vec![
        "install",
        "-y",
        "--no-install-recommends",
        "-o",
        "DPkg::Lock::Timeout=120",
    ];
    install.extend(packages);
    let first = ctx.unless_cancelled(apt_get(&apt, &install, &step)).await?;
    if first.is_err() {
        // The package lists of a new or long unused machine contain outdated packages.
        step.message("apt-get update");
        ctx.unless_cancelled(apt_get(&apt, &["update"], &step))
            .await??;
        ctx.unless_cancelled(apt_get(&apt, &install, &step))
            .await??;
    }
    step.done("");
    Ok(())
}

async fn apt_get(apt: &Path, args: &[&str], step: &Step) -> Result<(), LocalNodeError> {
    const KEPT_LINES: usize = 10;
    let inherited = [NETWORK, &["APT_CONFIG"]].concat();
    let mut command = Command::from(command(apt, &inherited));
    command
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let shown = tool::describe(&command);
    let failed = || LocalNodeError::process("run", format!("`{shown}`"));
    // Not killed on drop, because an interrupted dpkg leaves packages half configured.
    let mut child = command.spawn().map_err(failed())?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed()(std::io::ErrorKind::BrokenPipe.into()));
    };
    let (mut out, mut err) = (
        BufReader::new(stdout).lines(),
        BufReader::new(stderr).lines(),
    );
    let mut kept: Vec<String> = Vec::new();
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            line = out.next_line(), if out_open => match line {
                Ok(Some(line)) => {
                    if line.starts_with("Get:") || line.starts_with("Setting up") || line.starts_with("Unpacking") {
                        step.message(line);
                    }
                }
                _ => out_open = false,
            },
            line = err.next_line(), if err_open => match line {
                Ok(Some(line)) => kept.push(line),
                _ => err_open = false,
            },
        }
    }
    let status = child.wait().await.map_err(failed())?;
    if status.success() {
        return Ok(());
    }
    let output = kept.split_off(kept.len().saturating_sub(KEPT_LINES));
    Err(LocalNodeError::PackageInstall {
        command: shown,
        status: status.to_string(),
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_asked_for_once() {
        assert_eq!(
            packages_of(&PROGRAMS),
            [
                "containerd",
                "iproute2",
                "iptables",
                "mount",
                "runc",
                "util-linux"
            ]
        );
    }

    #[test]
    fn system_folders_are_searched_too() {
        assert!(search("mount").is_some());
        assert_eq!(search("no-such-program-anywhere"), None);
    }
}
