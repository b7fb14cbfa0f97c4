//! A real single-node Kubernetes on this machine, without Docker.
//!
//! One Go program, compiled from the module that this crate carries, is etcd, the control plane, kubelet, kube-proxy
//! and CoreDNS; containerd, runc and the network plugins come from the distribution. Everything runs as detached
//! processes of root that outlive whoever started them.
//!
//! ```text
//! up:   preflight -> packages | program -> pki -> launch_plan -> network, cgroups
//!         -> etcd -> API server -> controller manager, scheduler \
//!         -> containerd -> pause image ------------------------> kubelet, kube-proxy -> node Ready -> DNS answers
//! down: kubelet -> control plane -> pods -> containerd, etcd -> what is left: shims, groups, mounts, network
//! ```
//!
//! There is no state beside what is there: running processes are found by a marker in their environment, and each
//! carries a fingerprint of how it was started. So a second `up` starts what is missing, replaces what is out of date
//! and leaves the rest, and a run that is killed at any moment is continued by the next.
//!
//! | listens | where |
//! | --- | --- |
//! | API server, kubelet | the node's address; client certificates or tokens only |
//! | etcd | 127.0.0.1, TLS with client certificates of an authority of its own |
//! | containerd | a Unix socket below the state folder, which only root may enter |
//!
//! Other hosts reach none of it: the packet filter drops what they send to the node, to Services and to pods.
//!
//! The kernel and the packet filter are shared with the machine: `up` notes what it and the components change, and
//! `down` puts back what nobody else has changed or come to need. Start reading at [`LocalNode`] and `up`.

mod cgroups;
mod component;
mod components;
mod config;
pub(super) mod containerd;
mod dns;
mod down;
mod error;
pub(super) mod files;
pub(super) mod images;
mod inputs;
mod kernel_settings;
mod launch_plan;
mod lock;
mod machine;
mod network;
pub(super) mod packages;
mod pki;
mod preflight;
mod process;
mod program;
mod ready;
mod registries;
mod rendered;
mod status;
pub(super) mod tool;
mod toolchain;
mod up;

use std::path::{Path, PathBuf};

use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, Outcome};
use harmony_types::{ImageRef, RegistryHost};

pub use component::Component;
pub use config::LocalNodeConfig;
pub use down::Keep;
pub use error::LocalNodeError;
pub use registries::RegistryTrust;
pub use status::{ComponentStatus, Health, NodeStatus};

use containerd::Containerd;

/// The node of one configuration; cheap to clone. Nothing is started by making one.
///
/// ```no_run
/// # async fn example() -> Result<(), harmony_local::node::LocalNodeError> {
/// use harmony_core::Context;
/// use harmony_local::node::LocalNode;
///
/// let (ctx, node) = (Context::new(), LocalNode::default());
/// node.up(&ctx).await?;
/// let kubeconfig = node.kubeconfig();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct LocalNode {
    config: LocalNodeConfig,
}

impl LocalNode {
    /// The node of that configuration. [`LocalNode::default`] is the one that a machine shares.
    pub fn new(config: LocalNodeConfig) -> Self {
        Self { config }
    }

    /// What it was configured with.
    pub fn config(&self) -> &LocalNodeConfig {
        &self.config
    }

    /// Brings the node up; returns when it is Ready and cluster DNS answers.
    ///
    /// Installs missing packages with apt and builds the node's program when there is none yet, which takes minutes
    /// and tells its progress. After that a start takes seconds, and on a node that runs nothing is changed.
    /// In planning mode nothing is written, and the outcome says what would be started.
    ///
    /// Safe to run at any time: another `up` or `down` at work is waited for. Safe to cancel and to kill at any time:
    /// the next `up` continues.
    ///
    /// # Errors
    /// Refusals ([`FailureKind::Refused`](harmony_core::diagnostic::FailureKind)) come before anything is written:
    /// not root, no space, a taken port, another node, a route in the way, no packages, no Go.
    pub async fn up(&self, ctx: &Context) -> Result<Outcome, LocalNodeError> {
        // Boxed: the future holds every step of the way and would be large in each caller's.
        Box::pin(up::up(ctx, &self.config)).await
    }

    /// What runs, and whether it works. Changes nothing.
    pub async fn status(&self) -> Result<NodeStatus, LocalNodeError> {
        status::status(&self.config).await
    }

    /// Takes the node down and leaves no process, mount, address, route, rule or control group of it.
    ///
    /// Works on a node that is half up, and again after it was killed. Pods are killed, not asked to end.
    pub async fn down(&self, ctx: &Context, keep: Keep) -> Result<Outcome, LocalNodeError> {
        Box::pin(down::down(ctx, &self.config, keep)).await
    }

    /// Puts the one image of an OCI image layout (a folder or a tar archive) into the node, under the name of `image`
    /// with the layout's digest, and under its tag where it has one.
    ///
    /// Pods then name it `registry/repository@sha256:...` with `imagePullPolicy: IfNotPresent`; no registry is asked.
    /// Reports [`Action::Unchanged`] when it is there already.
    ///
    /// # Errors
    /// [`LocalNodeError::NotRunning`]; [`LocalNodeError::Archive`] when the layout is not one image, or not the one
    /// that `image` pins by digest.
    pub async fn import_image(
        &self,
        ctx: &Context,
        layout: &Path,
        image: &ImageRef,
    ) -> Result<Change, LocalNodeError> {
        let containerd = self.containerd().await?;
        ctx.unless_cancelled(images::import(ctx, &containerd, layout, image))
            .await?
    }

    /// Whether the node has the image under that name; by digest where the reference has one.
    ///
    /// # Errors
    /// [`LocalNodeError::NotRunning`].
    pub async fn has_image(&self, image: &ImageRef) -> Result<bool, LocalNodeError> {
        images::is_present(&self.containerd().await?, image).await
    }

    /// Lets the node pull from a registry whose certificate this machine does not trust, or which has none. Takes
    /// effect at the next pull; survives restarts of the node. In planning mode nothing is written.
    ///
    /// # Errors
    /// [`LocalNodeError::Reference`] for plain HTTP beyond loopback, or an authority that is not PEM.
    pub fn trust_registry(
        &self,
        ctx: &Context,
        registry: &RegistryHost,
        trust: &RegistryTrust,
    ) -> Result<Change, LocalNodeError> {
        preflight::check_root()?;
        let (path, changed) =
            registries::trust(&self.config.layout(), registry, trust, ctx.mode())?;
        let action = if changed {
            Action::Update
        } else {
            Action::Unchanged
        };
        Ok(Change::new(action, Subject::File(path)))
    }

    /// The administrator's kubeconfig, whole in itself; readable by root. There once `up` has run.
    pub fn kubeconfig(&self) -> PathBuf {
        self.config.layout().kubeconfig("admin")
    }

    /// The API server's audit log: one JSON object a line for each write (and each dry run of one, recognised by
    /// `dryRun` in its `requestURI`) that was not made by the system's own parts. At most 60 MB are kept.
    pub fn audit_log(&self) -> PathBuf {
        self.config.layout().audit_log()
    }

    /// The folder of the components' logs, one file each.
    pub fn logs(&self) -> PathBuf {
        self.config.layout().logs()
    }

    /// `kubectl` for this node, out of the node's own program; nothing when that is not built.
    pub fn kubectl(&self) -> Option<std::process::Command> {
        let program = program::find_built(&self.config.cache_dir)?;
        let mut kubectl = harmony_core::process::command(program.node, &[]);
        kubectl.arg("kubectl").env("KUBECONFIG", self.kubeconfig());
        Some(kubectl)
    }

    async fn containerd(&self) -> Result<Containerd, LocalNodeError> {
        preflight::check_root()?;
        let layout = self.config.layout();
        if !containerd::answers(&layout).await {
            return Err(LocalNodeError::NotRunning);
        }
        Ok(Containerd::new(&packages::find_installed()?.ctr, &layout))
    }
}
